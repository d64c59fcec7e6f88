package vmsfacts_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/valetkey/valetkey/pkg/vms/vmsfacts"
)

func request(t *testing.T, line, body string) *http.Request {
	t.Helper()
	method, target, _ := strings.Cut(line, " ")
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req := httptest.NewRequest(method, "https://vms.example"+target, r)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

func TestCheckRequest(t *testing.T) {
	checker, err := vmsfacts.New()
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		line, body string
		ok         bool
	}{
		{"POST /api/token/", `{"username":"a","password":"b"}`, true},
		{"POST /api/token/", `{"username":"a"}`, false},
		{"POST /api/token/", `{"username":"a","password":"b","realm":"c"}`, false},
		{"POST /api/token/", ``, false},
		{"POST /api/s3keys/", ``, true},
		{"POST /api/s3keys/", `{}`, false},
		{"POST /api/v5/s3keys/", ``, true},
		{"POST /api/latest/s3keys/", ``, true},
		{"POST /api/v9/s3keys/", ``, false},
		{"POST /api/s3keys", ``, false},
		{"GET /api/s3keys/?page=1", ``, false},
		{"DELETE /api/s3keys/AK1/", ``, true},
		{"DELETE /api/s3keys/FXhv%2FIdHZRhKHJdVnOawtHg%3D%3D/", ``, true},
		{"DELETE /api/s3keys/", `{"access_key":"AK1"}`, true},
		{"DELETE /api/s3keys/", `{"access_key":"AK1","user":"x"}`, false},
		{"DELETE /api/s3keys/", `{"access_key":1}`, false},
		{"DELETE /api/s3keys/", ``, false},
		{"PUT /api/s3keys/", ``, false},
		{"GET /api/users/?name=alice&page=1", ``, true},
		{"GET /api/users/?nmae=alice", ``, false},
		{"GET /api/users/query/?context=aggregated&username=alice", ``, true},
		{"GET /api/users/query/?context=everywhere", ``, false},
		{"PATCH /api/users/non_local_keys/", `{"access_key":"A","enabled":false,"sid":"S-1"}`, true},
		{"PATCH /api/users/non_local_keys/", `{"access_key":"A","sid":"S-1"}`, false},
		{"POST /api/users/non_local_keys/", `{"uid":1,"access_key":"A","secret_key":"S","enabled":true}`, true},
		{"PATCH /api/users/7/access_keys/", `{"access_key":"A","enabled":true}`, true},
		{"GET /api/iamroles/3/credentials/?access_key=A", ``, true},
		{"GET /api/nothing/", ``, false},
	}
	for _, c := range cases {
		req := request(t, c.line, c.body)
		err := checker.CheckRequest(req)
		if (err == nil) != c.ok {
			t.Errorf("%s %s: %v, want ok %v", c.line, c.body, err, c.ok)
		}
		if left, _ := io.ReadAll(req.Body); string(left) != c.body {
			t.Errorf("%s: the body became %q", c.line, left)
		}
	}
}

func TestCheckResponse(t *testing.T) {
	checker, err := vmsfacts.New()
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		line   string
		status int
		body   string
		ok     bool
	}{
		{"POST /api/s3keys/", 201, `{"access_key":"A","secret_key":"S"}`, true},
		{"POST /api/s3keys/", 200, `{"access_key":"A","secret_key":"S"}`, true},
		{"POST /api/s3keys/", 202, `{"access_key":"A","secret_key":"S"}`, false},
		{"POST /api/s3keys/", 201, `{"access_key":"A","secret_key":5}`, false},
		{"POST /api/s3keys/", 201, `{"access_key":"A","secret":"S"}`, false},
		{"POST /api/s3keys/", 201, `<html>`, false},
		{"POST /api/s3keys/", 409, `<html>`, true},
		{"GET /api/s3keys/", 200, `[]`, true},
		{"GET /api/s3keys/", 200, `{"results":[]}`, true},
		{"DELETE /api/s3keys/A/", 204, ``, true},
		{"DELETE /api/s3keys/A/", 204, `{}`, false},
		{"DELETE /api/s3keys/A/", 201, ``, true},
		{"DELETE /api/s3keys/", 204, ``, true},
		{"GET /api/locals3keys/", 200, `[{"id":1,"access_key":"A","enabled":true,"user":{"id":1,"name":"a"}}]`, true},
		{"GET /api/locals3keys/", 200, `{"count":1,"next":null,"previous":null,"results":[{"id":1,"tenant":null}]}`, true},
		{"GET /api/locals3keys/", 200, `{"count":1,"items":[]}`, false},
		{"GET /api/locals3keys/", 200, `{"results":[{"id":"1"}]}`, false},
		{"GET /api/locals3keys/", 200, `{"results":[{"key":"1"}]}`, false},
		{"POST /api/token/", 200, `{"access":"a","refresh":"b","csrftoken":"c"}`, true},
		{"POST /api/token/", 200, `{"access":"a"}`, false},
		{"GET /api/nothing/", 404, `{"detail":"Not found."}`, true},
		{"GET /api/nothing/", 200, `{}`, false},
	}
	for _, c := range cases {
		header := http.Header{}
		if c.body != "" {
			header.Set("Content-Type", "application/json")
		}
		err := checker.CheckResponse(request(t, c.line, ""), c.status, header, []byte(c.body))
		if (err == nil) != c.ok {
			t.Errorf("%s %d %s: %v, want ok %v", c.line, c.status, c.body, err, c.ok)
		}
	}
}

func TestEveryDifferenceHasAReason(t *testing.T) {
	for _, d := range vmsfacts.Differences {
		if d.Reason == "" {
			t.Errorf("%+v", d)
		}
	}
}
