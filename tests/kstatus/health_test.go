// Package kstatus holds recorded budgets against what reads their health: kstatus, as Flux and kpt use it, and the script for
// Argo CD, in the Lua that Argo CD uses.
package kstatus

import (
	"os"
	"path/filepath"
	"testing"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

// In the form in which Argo CD keeps such tests.
const table = "health_test.yaml"

// What kstatus is to make of each record.
var expected = map[string]status.Status{
	"unseen":               status.InProgressStatus,
	"edited":               status.InProgressStatus,
	"coming-down":          status.InProgressStatus,
	"settled":              status.CurrentStatus,
	"waiting":              status.CurrentStatus,
	"disruption-budget":    status.CurrentStatus,
	"observe":              status.CurrentStatus,
	"invalid-limit":        status.FailedStatus,
	"unsupported":          status.FailedStatus,
	"does-not-fit":         status.FailedStatus,
	"ceiling-does-not-fit": status.FailedStatus,
	"one-pod-does-not-fit": status.FailedStatus,
	"eviction-forbidden":   status.FailedStatus,
	"bad-revision":         status.FailedStatus,
	"status-refused":       status.FailedStatus,
	"deleted":              status.TerminatingStatus,
}

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func TestKstatusReadsEachRecordRightly(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.yaml"))
	if err != nil || len(files) != len(expected) {
		t.Fatalf("%d records, %d expected: %v", len(files), len(expected), err)
	}
	for name, want := range expected {
		var object map[string]any
		read(t, filepath.Join("testdata", name+".yaml"), &object)
		// As from an API server: whole numbers are whole.
		budget := &unstructured.Unstructured{}
		text, err := yaml.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		json, err := yaml.YAMLToJSON(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := budget.UnmarshalJSON(json); err != nil {
			t.Fatal(err)
		}
		found, err := status.Compute(budget)
		if err != nil {
			t.Fatal(err)
		}
		if found.Status != want {
			t.Errorf("%s is %s (%s), want %s", name, found.Status, found.Message, want)
		}
	}
}

type health struct {
	Status  string `json:"status"`
	Message string `json:"message"`
}

func TestTheScriptForArgoCDReadsEachRecordRightly(t *testing.T) {
	script, err := os.ReadFile("../../examples/argo-cd/health.lua")
	if err != nil {
		t.Fatal(err)
	}
	var cases struct {
		Tests []struct {
			HealthStatus health `json:"healthStatus"`
			InputPath    string `json:"inputPath"`
		} `json:"tests"`
	}
	read(t, table, &cases)
	if len(cases.Tests) != len(expected) {
		t.Errorf("%d tests of %d records", len(cases.Tests), len(expected))
	}
	for _, test := range cases.Tests {
		var object map[string]any
		read(t, test.InputPath, &object)
		if found := run(t, string(script), object); found != test.HealthStatus {
			t.Errorf("%s is %v, want %v", test.InputPath, found, test.HealthStatus)
		}
	}
}

// run is a health check as Argo CD makes it: few libraries, and the object under the name obj.
func run(t *testing.T, script string, object map[string]any) health {
	t.Helper()
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		t.Fatal(err)
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the script returns %v", state.Get(-1))
	}
	return health{table.RawGetString("status").String(), table.RawGetString("message").String()}
}

func value(state *lua.LState, from any) lua.LValue {
	switch of := from.(type) {
	case string:
		return lua.LString(of)
	case float64:
		return lua.LNumber(of)
	case bool:
		return lua.LBool(of)
	case []any:
		list := state.NewTable()
		for _, item := range of {
			list.Append(value(state, item))
		}
		return list
	case map[string]any:
		table := state.NewTable()
		for key, item := range of {
			table.RawSetString(key, value(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
