{{- /* What gives pods their gate: "policy" where the cluster serves MutatingAdmissionPolicies, else "webhook". */ -}}
{{- define "poolbudget.admission" -}}
{{- $served := .Capabilities.APIVersions.Has "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
{{- if ne .Values.admission.mode "auto" -}}
{{- .Values.admission.mode -}}
{{- else if or $served (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version) -}}
policy
{{- else -}}
webhook
{{- end -}}
{{- end -}}

{{- /* The name of the webhook's Service, of the Secret with its certificate, and of what makes that. */ -}}
{{- define "poolbudget.webhookName" -}}
{{ include "poolbudget.name" . }}-webhook
{{- end -}}

{{- /* The host that API servers connect to, for which the certificate is. */ -}}
{{- define "poolbudget.webhookHost" -}}
{{- with .Values.admission.webhook.url -}}
{{ (urlParse .).hostname }}
{{- else -}}
{{ include "poolbudget.webhookName" . }}.{{ .Release.Namespace }}.svc
{{- end -}}
{{- end -}}

{{- /* Where a path of the webhook is: (list . "/mutate"). The authority is written in by who made it. */ -}}
{{- define "poolbudget.webhookClient" -}}
{{- $root := index . 0 -}}
{{- $path := index . 1 -}}
{{- with $root.Values.admission.webhook.url -}}
{{ dict "url" (printf "%s%s" (trimSuffix "/" .) $path) | toJson }}
{{- else -}}
{{ dict "service" (dict "namespace" $root.Release.Namespace "name" (include "poolbudget.webhookName" $root) "path" $path) | toJson }}
{{- end -}}
{{- end -}}

{{- /* Where the operator makes and renews the certificate itself. */ -}}
{{- define "poolbudget.ownCertificate" -}}
{{- if and (eq (include "poolbudget.admission" .) "webhook") (not .Values.admission.webhook.certManager.enabled) -}}
true
{{- end -}}
{{- end -}}

{{- /* Tells cert-manager whose authority belongs into a configuration. */ -}}
{{- define "poolbudget.authorityInjection" -}}
{{- if .Values.admission.webhook.certManager.enabled -}}
cert-manager.io/inject-ca-from: {{ .Release.Namespace }}/{{ include "poolbudget.webhookName" . }}
{{- end -}}
{{- end -}}
