package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// A description is openapi.json, compiled: what every answer in these tests is
// held against.
type description struct {
	compiler *jsonschema.Compiler
	paths    map[string]map[string]any
	doc      map[string]any
}

var loadDescription = sync.OnceValues(func() (*description, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(openAPI))
	if err != nil {
		return nil, err
	}
	d := &description{compiler: jsonschema.NewCompiler(), doc: doc.(map[string]any), paths: map[string]map[string]any{}}
	d.compiler.AssertFormat()
	d.compiler.AssertContent()
	for p, item := range d.doc["paths"].(map[string]any) {
		d.paths[p] = item.(map[string]any)
	}
	return d, d.compiler.AddResource("openapi.json", doc)
})

func describe(t testing.TB) *description {
	t.Helper()
	d, err := loadDescription()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

var compiling sync.Mutex // the compiler is not made for several at once

// valid holds a value against a schema of the description.
func (d *description) valid(ref string, v any) error {
	compiling.Lock()
	defer compiling.Unlock()
	schema, err := d.compiler.Compile("openapi.json#" + ref)
	if err != nil {
		return err
	}
	return schema.Validate(v)
}

// template is the path of the description that a path belongs to.
func (d *description) template(path string) string {
	if _, ok := d.paths[path]; ok {
		return path
	}
	parts := strings.Split(path, "/")
	for p := range d.paths {
		own := strings.Split(p, "/")
		if len(own) == len(parts) && slices.EqualFunc(own, parts, func(a, b string) bool { return strings.HasPrefix(a, "{") || a == b }) {
			return p
		}
	}
	return ""
}

// check holds an answer of the intake against what the description says of it.
func (d *description) check(method, path string, resp *http.Response, body []byte) error {
	path, _, _ = strings.Cut(path, "?")
	item := d.paths[d.template(path)]
	op, ok := item[strings.ToLower(method)].(map[string]any)
	if !ok {
		return nil // what isn't described must be refused, which the tests look at
	}
	status := strconv.Itoa(resp.StatusCode)
	if resp.Header.Get("X-Road-Error") != "" { // some security servers answer malformed requests with 400
		status = "500"
	}
	answer, ok := op["responses"].(map[string]any)[status].(map[string]any)
	if !ok {
		return fmt.Errorf("%s %s: status %s is not described", method, path, status)
	}
	content, ok := answer["content"].(map[string]any)
	if !ok {
		if len(body) > 0 {
			return fmt.Errorf("%s %s: %s has a body", method, path, status)
		}
		return nil
	}
	ref := content["application/json"].(map[string]any)["schema"].(map[string]any)["$ref"].(string)
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s %s: %s: %w", method, path, status, err)
	}
	if err := d.valid(strings.TrimPrefix(ref, "#"), v); err != nil {
		return fmt.Errorf("%s %s: %s: %w", method, path, status, err)
	}
	return nil
}

func TestEveryExampleIsValid(t *testing.T) {
	d := describe(t)
	n := 0
	for name, s := range d.doc["components"].(map[string]any)["schemas"].(map[string]any) {
		if err := d.valid("/components/schemas/"+name, map[string]any{}); err != nil && strings.Contains(err.Error(), "failed to compile") {
			t.Errorf("%s: %v", name, err)
		}
		examples, _ := s.(map[string]any)["examples"].([]any)
		for _, e := range examples {
			n++
			if err := d.valid("/components/schemas/"+name, e); err != nil {
				t.Errorf("example of %s: %v", name, err)
			}
		}
	}
	if n < 10 {
		t.Errorf("%d examples only", n)
	}
}

// The schemas must be able to say no: each example with a field of the wrong kind
// or without a required one.
func TestSchemasRefuse(t *testing.T) {
	d := describe(t)
	for ref, text := range map[string]string{
		"Standing": `{"state":"done","receipt":"0oRD"}`, "Changes": `{"submissions":[],"next":-1,"more":false}`,
		"Facts": `{"data":[{"id":"status"}],"as_of":"2026-11-22T06:00:00Z"}`, "Time": `{"time":"yesterday"}`,
		"Report": `{"version":2,"at":"2026-11-22T06:00:00Z","boot":"b","seq":1}`, "Reason": `{"reason":"No!"}`,
		"Sealed": `{"payload":"a","protected":"a","signature":"a","more":1}`, "ULID": `"x"`,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if d.valid("/components/schemas/"+ref, v) == nil {
			t.Errorf("%s takes %s", ref, text)
		}
	}
}

func TestDescriptionAndRoutesAreTheSame(t *testing.T) {
	d := describe(t)
	var described, routed []string
	for p, item := range d.paths {
		for method := range item {
			if method != "parameters" {
				described = append(described, strings.ToUpper(method)+" "+starred(p))
			}
		}
	}
	for _, r := range Endpoints() {
		routed = append(routed, r.Method+" "+r.Path)
	}
	slices.Sort(described)
	slices.Sort(routed)
	if !slices.Equal(described, routed) {
		t.Errorf("described %v\nrouted %v", described, routed)
	}
	if v := d.doc["info"].(map[string]any)["version"]; v != Version {
		t.Errorf("described version %v, want %s", v, Version)
	}
}

// starred writes a template as a directory does.
func starred(path string) string {
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") {
			parts[i] = "*"
		}
	}
	return strings.Join(parts, "/")
}

// decodeInto re-reads what ask has parsed into a type.
func decodeInto(t testing.TB, v map[string]any, into any) {
	t.Helper()
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}
