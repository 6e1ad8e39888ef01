{{- /* The one name of everything: the chart is installed once per cluster. */ -}}
{{- define "poolbudget.name" -}}
poolbudget
{{- end -}}

{{- /* The user name under which the operator writes; the guard lets no other open a gate. */ -}}
{{- define "poolbudget.operator" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "poolbudget.name" . }}
{{- end -}}

{{- /* The account of `poolbudget release`, and the user name under which it writes. */ -}}
{{- define "poolbudget.releaseName" -}}
{{ include "poolbudget.name" . }}-release
{{- end -}}

{{- define "poolbudget.releaser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "poolbudget.releaseName" . }}
{{- end -}}

{{- define "poolbudget.selectorLabels" -}}
app.kubernetes.io/name: {{ include "poolbudget.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "poolbudget.labels" -}}
{{ include "poolbudget.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "poolbudget.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- /* What every pod of the chart runs as: no root, no capability, no writable file. */ -}}
{{- define "poolbudget.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "poolbudget.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- /* How the process learns where it is and how it logs. */ -}}
{{- define "poolbudget.env" -}}
- name: POOLBUDGET_LOG
  value: {{ .Values.logLevel | quote }}
- name: POOLBUDGET_LOG_FORMAT
  value: {{ .Values.logFormat | quote }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end -}}
