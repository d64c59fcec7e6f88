package servers

import (
	"bytes"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
)

// TestMinIOAnswers proves the server itself, with the AWS CLI.
func TestMinIOAnswers(t *testing.T) {
	t.Parallel()
	m := StartMinIO(t)
	m.makeBucket(t, "demo")
	m.aws(t, "hello\n", "s3", "cp", "-", "s3://demo/a")
	if got := m.aws(t, "", "s3", "cp", "s3://demo/a", "-"); got != "hello\n" {
		t.Errorf("got %q", got)
	}
}

// TestMinIOTakesURLs lets a server that shares no code with us judge our URLs.
func TestMinIOTakesURLs(t *testing.T) {
	t.Parallel()
	m := StartMinIO(t)
	m.makeBucket(t, "demo")
	vk := newValetkey(t, "VALETKEY_S3_ENDPOINT="+m.Endpoint, "AWS_ACCESS_KEY_ID="+m.AccessKey, "AWS_SECRET_ACCESS_KEY="+m.SecretKey)
	presign := func(args ...string) string {
		t.Helper()
		return strings.TrimSuffix(vk.run(append([]string{"presign", "--credentials", "env"}, args...)...), "\n")
	}
	// MinIO itself refuses //, /./ and /../ in a name, whoever asks.
	for _, key := range []string{"plain", "with space+plus", "ünï/cödé", "a/b.c/..d", "100%25", "q?x=1&y=2#z", "~tilde'(paren)*!"} {
		uri, body := "s3://demo/"+key, "content of "+key
		if code, text := m.do(t, http.MethodPut, presign(uri, "--method", "PUT"), body); code != 200 {
			t.Errorf("PUT %q: %d %s", key, code, text)
			continue
		}
		if code, text := m.do(t, http.MethodGet, presign(uri), ""); code != 200 || text != body {
			t.Errorf("GET %q: %d %s", key, code, text)
		}
		if code, _ := m.do(t, http.MethodHead, presign(uri, "--method", "HEAD"), ""); code != 200 {
			t.Errorf("HEAD %q: %d", key, code)
		}
		if code, text := m.do(t, http.MethodPut, presign(uri), body); code != 403 {
			t.Errorf("a GET URL took a PUT: %d %s", code, text)
		}
		if code, text := m.do(t, http.MethodDelete, presign(uri, "--method", "DELETE"), ""); code != 204 {
			t.Errorf("DELETE %q: %d %s", key, code, text)
		}
		if code, _ := m.do(t, http.MethodGet, presign(uri), ""); code != 404 {
			t.Errorf("GET of the deleted %q: %d", key, code)
		}
	}
	if code, text := m.do(t, http.MethodGet, presign("s3://demo/plain", "--time", "2020-01-01T00:00:00Z"), ""); code != 403 {
		t.Errorf("an expired URL was taken: %d %s", code, text)
	}
	if code, text := m.do(t, http.MethodGet, strings.Replace(presign("s3://demo/plain"), "/demo/plain", "/demo/other", 1), ""); code != 403 {
		t.Errorf("a URL for another object was taken: %d %s", code, text)
	}
	if code, text := m.do(t, http.MethodPut, presign("s3://demo/typed", "--method", "PUT", "--header", "content-type=text/csv"), "x"); code < 400 || !strings.Contains(text, "AccessDenied") {
		t.Errorf("a signed header was left out and the URL taken: %d %s", code, text)
	}
}

func (m *MinIO) makeBucket(t *testing.T, name string) {
	t.Helper()
	m.aws(t, "", "s3", "mb", "s3://"+name)
}

func (m *MinIO) aws(t *testing.T, input string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/usr/bin/aws", append([]string{"--endpoint-url", m.Endpoint}, args...)...)
	cmd.Env = append(Environ(), "HOME="+t.TempDir(), "AWS_ACCESS_KEY_ID="+m.AccessKey, "AWS_SECRET_ACCESS_KEY="+m.SecretKey,
		"AWS_CA_BUNDLE="+m.CAFile, "AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true")
	cmd.Stdin = strings.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return string(out)
}

func (m *MinIO) do(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := m.HTTP.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}
