// Package prometheus holds the chart's alerts and dashboard against Prometheus itself: its rule reader, and its engine on
// series that poolbudget has written.
package prometheus

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
)

const (
	alerts    = "../../charts/poolbudget/files/alerts.yaml"
	dashboard = "../../charts/poolbudget/files/dashboard.json"
	runbooks  = "../../docs/runbooks"
	recorded  = "testdata/metrics.txt"
	// How long the series of a test are, in minutes, and when it asks.
	minutes = 40
)

var (
	start = time.Unix(0, 0)
	asked = start.Add(30 * time.Minute)
)

// For each alert: series with which it fires, and series with which it does not.
var cases = map[string][2]string{
	"PoolbudgetPodsWaitLong": {of("poolbudget_oldest_wait_seconds", "121"), of("poolbudget_oldest_wait_seconds", "120")},
	"PoolbudgetInfeasible":   {condition("Feasible", "0"), condition("Feasible", "1") + condition("Blocked", "0")},
	"PoolbudgetHeadroomLow": {
		of("poolbudget_least_connections", "11") + of("poolbudget_usable_connections", "13"),
		of("poolbudget_least_connections", "10") + of("poolbudget_usable_connections", "13"),
	},
	"PoolbudgetHeadroomGone": {
		of("poolbudget_least_connections", "13") + of("poolbudget_usable_connections", "13"),
		// Nothing is usable without a limit that can be used, and another alert says so.
		of("poolbudget_least_connections", "13") + of("poolbudget_usable_connections", "0"),
	},
	"PoolbudgetStalled":     {condition("Stalled", "1"), condition("Stalled", "0")},
	"PoolbudgetBlocked":     {condition("Blocked", "1"), condition("Blocked", "-1")},
	"PoolbudgetForeignPods": {condition("ForeignPods", "1"), condition("ForeignPods", "0")},
	"PoolbudgetEnvIgnored":  {condition("EnvIgnored", "1"), condition("EnvIgnored", "-1")},
	"PoolbudgetLimitContradicted": {condition("LimitConfirmed", "0"), condition("LimitConfirmed", "-1")},
	"PoolbudgetLimitNotRead":      {condition("LimitConfirmed", "-1"), condition("LimitConfirmed", "1")},
	"PoolbudgetOutsideClients": {condition("OutsideClients", "1"), condition("OutsideClients", "0")},
	"PoolbudgetPoolBusy": {
		of("poolbudget_workload_in_use_connections", "9") + of("poolbudget_workload_committed_connections", "10"),
		of("poolbudget_workload_in_use_connections", "8") + of("poolbudget_workload_committed_connections", "10"),
	},
	"PoolbudgetPoolExhausted": {
		of("poolbudget_workload_waiting_checkouts", "2"),
		of("poolbudget_workload_waiting_checkouts", "0"),
	},
	"PoolbudgetOverLimit":   {condition("WithinLimit", "0"), condition("WithinLimit", "1")},
	"PoolbudgetNoLeader": {
		"poolbudget_leader{pod=\"a\"} 0x40\npoolbudget_leader{pod=\"b\"} 0x40\n",
		"poolbudget_leader{pod=\"a\"} 0x40\npoolbudget_leader{pod=\"b\"} 1x40\n",
	},
	"PoolbudgetStatusRefused": {
		"poolbudget_status_writes_refused_total 0x25 1x15\n",
		"poolbudget_status_writes_refused_total 0x10 1x30\n",
	},
	"PoolbudgetAPIErrors": {
		"poolbudget_api_errors_total{class=\"forbidden\"} 0+12x40\n",
		// Somebody else was faster: the leader looks again.
		"poolbudget_api_errors_total{class=\"outdated\"} 0+1200x40\n",
	},
	"PoolbudgetWebhookFailing": {
		"poolbudget_admission_reviews_total{path=\"/mutate\",outcome=\"unanswered\"} 0+1x40\n",
		"poolbudget_admission_reviews_total{path=\"/mutate\",outcome=\"refused\"} 0+9x40\n",
	},
	"PoolbudgetWebhookCertificateExpiring": {
		fmt.Sprintf("poolbudget_webhook_certificate_expiry_timestamp_seconds %dx40\n", asked.Unix()+13*24*3600),
		// There is none, or it is young.
		fmt.Sprintf("poolbudget_webhook_certificate_expiry_timestamp_seconds{pod=\"a\"} 0x40\n"+
			"poolbudget_webhook_certificate_expiry_timestamp_seconds{pod=\"b\"} %dx40\n", asked.Unix()+60*24*3600),
	},
	"PoolbudgetBudgetsWithoutSeries": {"poolbudget_budgets_without_series 3x40\n", "poolbudget_budgets_without_series 0x40\n"},
}

func of(metric, value string) string {
	return fmt.Sprintf("%s{namespace=\"shop\",budget=\"main\"} %sx%d\n", metric, value, minutes)
}

func condition(kind, value string) string {
	return fmt.Sprintf("poolbudget_condition{namespace=\"shop\",budget=\"main\",type=%q} %sx%d\n", kind, value, minutes)
}

func rules(t *testing.T) []rulefmt.Rule {
	t.Helper()
	read, errs := rulefmt.ParseFile(alerts, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.Default())
	if len(errs) > 0 {
		t.Fatalf("%s: %v", alerts, errs)
	}
	var all []rulefmt.Rule
	for _, group := range read.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// What a query gives at a time.
func ask(t *testing.T, store storage.Queryable, query string, at time.Time) promql.Vector {
	t.Helper()
	engine := promqltest.NewTestEngine(t, false, 5*time.Minute, 1_000_000)
	asked, err := engine.NewInstantQuery(context.Background(), store, nil, query, at)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer asked.Close()
	result := asked.Exec(context.Background())
	vector, err := result.Vector()
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return vector
}

func TestEachAlertFiresWhenItShouldAndOnlyThen(t *testing.T) {
	seen := map[string]bool{}
	for _, rule := range rules(t) {
		seen[rule.Alert] = true
		series, known := cases[rule.Alert]
		if !known {
			t.Errorf("%s is not tried here", rule.Alert)
			continue
		}
		for n, text := range series {
			store := promqltest.LoadedStorage(t, "load 1m\n  "+strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  "))
			fires := len(ask(t, store, rule.Expr, asked)) > 0
			if fires != (n == 0) {
				t.Errorf("%s fires: %v, with\n%s", rule.Alert, fires, text)
			}
		}
	}
	for alert := range cases {
		if !seen[alert] {
			t.Errorf("there is no alert %s", alert)
		}
	}
}

func TestWithoutAnySeriesOnlyTheLeaderIsMissed(t *testing.T) {
	store := promqltest.LoadedStorage(t, "load 1m\n  something_else 1x40")
	for _, rule := range rules(t) {
		fires := len(ask(t, store, rule.Expr, asked)) > 0
		if fires != (rule.Alert == "PoolbudgetNoLeader") {
			t.Errorf("%s fires: %v", rule.Alert, fires)
		}
	}
}

func TestEachAlertSaysWhatToDo(t *testing.T) {
	pages := map[string]bool{}
	for _, rule := range rules(t) {
		for _, annotation := range []string{"summary", "description", "runbook"} {
			if rule.Annotations[annotation] == "" {
				t.Errorf("%s has no %s", rule.Alert, annotation)
			}
		}
		if severity := rule.Labels["severity"]; severity != "critical" && severity != "warning" && severity != "info" {
			t.Errorf("%s is of severity %q", rule.Alert, severity)
		}
		page := filepath.Join(runbooks, filepath.Base(rule.Annotations["runbook"]))
		text, err := os.ReadFile(page)
		if err != nil {
			t.Errorf("%s: %v", rule.Alert, err)
			continue
		}
		if !strings.Contains(string(text), rule.Alert) {
			t.Errorf("%s does not name %s", page, rule.Alert)
		}
		pages[filepath.Base(page)] = true
	}
	files, err := filepath.Glob(filepath.Join(runbooks, "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if name := filepath.Base(file); name != "README.md" && !pages[name] {
			t.Errorf("no alert leads to %s", file)
		}
	}
}

// The recorded series, each as it was for a while; counters rise.
func load(t *testing.T) string {
	t.Helper()
	file, err := os.Open(recorded)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	counter := regexp.MustCompile(`_(total|bucket|count|sum)(\{| )`)
	var text strings.Builder
	text.WriteString("load 1m\n")
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := lines.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		at := strings.LastIndex(line, " ")
		step := "+0"
		if counter.MatchString(line) {
			step = "+1"
		}
		fmt.Fprintf(&text, "  %s %s%sx%d\n", line[:at], line[at+1:], step, minutes)
	}
	return text.String()
}

type panel struct {
	Title   string
	Type    string
	Targets []struct{ Expr string }
}

func panels(t *testing.T) []panel {
	t.Helper()
	text, err := os.ReadFile(dashboard)
	if err != nil {
		t.Fatal(err)
	}
	var read struct{ Panels []panel }
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatalf("%s: %v", dashboard, err)
	}
	return read.Panels
}

func TestEveryQueryOfTheDashboardGivesData(t *testing.T) {
	store := promqltest.LoadedStorage(t, load(t))
	filled := strings.NewReplacer("$__rate_interval", "5m", "$namespace", ".*", "$budget", ".*")
	queries := 0
	for _, panel := range panels(t) {
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("%s asks for nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			queries++
			if len(ask(t, store, filled.Replace(target.Expr), asked)) == 0 {
				t.Errorf("%s: no data for %s", panel.Title, target.Expr)
			}
		}
	}
	if queries < 20 {
		t.Errorf("only %d queries", queries)
	}
}

// A label that a query selects by, and a metric that nobody writes, are typing errors.
func TestAlertsAndDashboardNameOnlyWhatIsWritten(t *testing.T) {
	text := load(t)
	var expressions []string
	for _, rule := range rules(t) {
		expressions = append(expressions, rule.Expr)
	}
	for _, panel := range panels(t) {
		for _, target := range panel.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	metric := regexp.MustCompile(`poolbudget_[a-z_]+`)
	for _, expression := range expressions {
		for _, name := range metric.FindAllString(expression, -1) {
			if !strings.Contains(text, "  "+name+"{") && !strings.Contains(text, "  "+name+" ") {
				t.Errorf("nobody writes %s, which stands in %s", name, expression)
			}
		}
	}
}
