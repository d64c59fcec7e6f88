package servers

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const awsCLI = `s3() { /usr/bin/aws --endpoint-url "$VALETKEY_S3_ENDPOINT" s3 "$@"; }
echo hello | s3 cp - s3://demo/configured && s3 cp s3://demo/configured - && s3 rm --quiet s3://demo/configured && echo ok`

// TestConfigureAWS lets tools work from what `configure aws` has written, with
// spaces in every path, and with no AWS_ variable that leads them.
func TestConfigureAWS(t *testing.T) {
	box := startSandbox(t)
	goSDK, err := goSDKProgram.build()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "a place with spaces")
	program, home := filepath.Join(dir, "bin dir", "valetkey"), filepath.Join(dir, "my home")
	copyFile(t, program, box.path, 0o700)
	ca := filepath.Join(dir, "my authority.pem")
	copyFile(t, ca, box.value("VALETKEY_VMS_CA_FILE"), 0o600)

	configured := box.valetkey
	configured.path = program
	configured.env = nil
	for _, pair := range box.env {
		name, _, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "AWS_") && name != "NODE_EXTRA_CA_CERTS" {
			configured.env = append(configured.env, pair)
		}
	}
	configured.env = append(configured.env, "HOME="+home, "VALETKEY_S3_CA_FILE="+ca,
		"PATH="+filepath.Dir(program)+string(os.PathListSeparator)+os.Getenv("PATH"))
	configured.run("configure", "aws", "--aws-profile", "default")
	configured.run("configure", "aws", "--aws-profile", "rclone", "--s3-ca-file", "") // it has a way of its own
	text, err := os.ReadFile(filepath.Join(home, ".aws", "config"))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", text)
	if want := `credential_process = /usr/bin/env "` + program + `" credential-process` + "\n"; !strings.Contains(string(text), want) {
		t.Errorf("the file has no line %q", want)
	}

	for name, tool := range map[string]struct {
		env     string // besides
		command []string
	}{
		"AWS CLI":           {"", []string{"sh", "-c", awsCLI}},
		"boto3":             {"", []string{"/usr/bin/python3", here(t, "clients/boto.py")}},
		"Go SDK":            {"", []string{goSDK, "s3"}},
		"JavaScript SDK v3": {"NODE_EXTRA_CA_CERTS=" + ca, []string{"node", filepath.Join(javaScript(t), "s3.mjs")}},
		"rclone":            {"AWS_PROFILE=rclone", []string{"sh", here(t, "clients/rclone.sh"), t.TempDir(), ca}},
		"s3cmd":             {"", []string{program, "exec", "--", "sh", here(t, "clients/s3cmd.sh"), t.TempDir(), ca}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, tool.command[0], tool.command[1:]...)
			cmd.Env = append(configured.env[:len(configured.env):len(configured.env)], tool.env)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.HasSuffix(string(out), "ok\n") {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}

// value is a variable of the sandbox.
func (b *box) value(name string) string {
	b.t.Helper()
	for _, pair := range b.env {
		if value, found := strings.CutPrefix(pair, name+"="); found {
			return value
		}
	}
	b.t.Fatalf("the sandbox does not set %s", name)
	return ""
}

func copyFile(t *testing.T, to, from string, mode os.FileMode) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, data, mode); err != nil {
		t.Fatal(err)
	}
}
