//go:build unix

// Package testscripts runs the stories of this folder through the real binary,
// on sandboxes of real HTTPS servers. A story is a .txtar file in the language of
// github.com/rogpeppe/go-internal/testscript, with the commands below added.
package testscripts

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/valetkey/valetkey/pkg/sandbox"
)

// binary is the valetkey under test, built by TestMain.
var binary string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	// Under nohup, or as a job of a script, signals may be ignored, which children
	// inherit. What is handled here is at its default in them.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGQUIT)
	dir, err := os.MkdirTemp("", "valetkey-stories-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "valetkey")
	build := exec.Command("go", "build", "-o", binary, "github.com/valetkey/valetkey/cmd/valetkey")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build valetkey:", err)
		return 1
	}
	return m.Run()
}

func TestStories(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 ".",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("XDG_CONFIG_HOME", "")
			env.Setenv("GOCOVERDIR", os.Getenv("GOCOVERDIR"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"sandbox":  startSandbox,
			"requests": countRequests,
			"typed":    typed,
			"exitcode": exitCode,
			"parallel": parallel,
			"mask":     mask,
			"machine":  machine,
			"vault":    askVault,
			"readme":   readme,
		},
	})
}

// startSandbox is `sandbox [FAULT...]`: it starts the servers of `valetkey dev`
// and sets their environment for the rest of the story.
func startSandbox(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("sandbox cannot be negated")
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := sandbox.Start(ctx, sandbox.Options{Binary: binary, Faults: args})
	if err != nil {
		cancel()
		ts.Fatalf("start the sandbox: %v", err)
	}
	ts.Defer(func() {
		cancel()
		_ = s.Close()
	})
	for _, v := range s.Env(nil) {
		ts.Setenv(v.Name, v.Value)
	}
	ts.Setenv("SANDBOX_VAULT", ts.Getenv("VALETKEY_VAULT_ADDRESS"))
	ts.Setenv("SANDBOX_VAULT_TOKEN", ts.Getenv("VALETKEY_VAULT_TOKEN"))
	ts.Setenv("SANDBOX_VMS_HOST", strings.TrimPrefix(ts.Getenv("VALETKEY_VMS_ADDRESS"), "https://"))
}

// countRequests is `requests N METHOD PATH-REGEXP [STATUS]`: so many requests reached the servers.
func countRequests(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: requests N METHOD PATH-REGEXP [STATUS]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	path := regexp.MustCompile(args[2])
	log := ts.ReadFile(filepath.Join(ts.Getenv("VALETKEY_SANDBOX_DIR"), "requests.jsonl"))
	got := 0
	for _, line := range strings.Split(strings.TrimSpace(log), "\n") {
		var r struct {
			Method, Path string
			Status       int
		}
		if line == "" {
			continue
		}
		ts.Check(json.Unmarshal([]byte(line), &r))
		if r.Method == args[1] && path.MatchString(r.Path) && (len(args) < 4 || strconv.Itoa(r.Status) == args[3]) {
			got++
		}
	}
	if got != want {
		ts.Fatalf("%d requests %s %s, want %d\n%s", got, args[1], args[2], want, log)
	}
}

// exitCode is `exitcode N COMMAND...`: the command ends with exactly that code.
func exitCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	var out, errs bytes.Buffer
	got := run(ts, args[1:], environment(ts), nil, &out, &errs)
	show(ts, &out, &errs)
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d\nstdout: %s\nstderr: %s", strings.Join(args[1:], " "), got, want, &out, &errs)
	}
}

// parallel is `parallel N COMMAND...`: so many processes at once, all of which
// must succeed. Each has its number in $N. Their distinct outputs are the story's
// stdout.
func parallel(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: parallel N COMMAND...")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	var (
		mu       sync.Mutex
		distinct = map[string]bool{}
		problems []string
		wg       sync.WaitGroup
	)
	env := environment(ts)
	for i := range n {
		wg.Go(func() {
			var out, errs bytes.Buffer
			code := run(ts, args[1:], append(slices.Clip(env), "N="+strconv.Itoa(i)), nil, &out, &errs)
			mu.Lock()
			defer mu.Unlock()
			distinct[out.String()] = true
			if code != 0 {
				problems = append(problems, fmt.Sprintf("exit code %d: %s", code, &errs))
			}
		})
	}
	wg.Wait()
	if len(problems) > 0 {
		ts.Fatalf("%d of %d failed: %s", len(problems), n, problems[0])
	}
	var all bytes.Buffer
	for text := range distinct {
		all.WriteString(text)
	}
	show(ts, &all, &bytes.Buffer{})
}

// machine is `machine NAME`: what follows runs on another machine, which has its
// own state and its own store of logins, and shares everything else.
func machine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: machine NAME")
	}
	ts.Setenv("VALETKEY_STATE_DIR", ts.MkAbs(filepath.Join(args[0], "state")))
	ts.Setenv("VALETKEY_STORE_DIR", ts.MkAbs(filepath.Join(args[0], "store")))
	ts.Check(os.MkdirAll(ts.MkAbs(args[0]), 0o700))
}

// askVault is `vault METHOD PATH [JSON|<FILE]`: it asks the sandbox's Vault as
// root, whatever the story has set, and shows the answer as the story's stdout.
func askVault(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || len(args) > 3 {
		ts.Fatalf("usage: vault METHOD PATH [JSON]")
	}
	ca := x509.NewCertPool()
	ca.AppendCertsFromPEM([]byte(ts.ReadFile(filepath.Join(ts.Getenv("VALETKEY_SANDBOX_DIR"), "ca.pem"))))
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: ca, MinVersion: tls.VersionTLS12}, DisableKeepAlives: true,
	}}
	body := strings.Join(args[2:], "")
	if file, found := strings.CutPrefix(body, "<"); found {
		body = ts.ReadFile(file)
	}
	request, err := http.NewRequestWithContext(context.Background(), args[0], ts.Getenv("SANDBOX_VAULT")+"/v1/"+args[1], strings.NewReader(body))
	ts.Check(err)
	request.Header.Set("X-Vault-Token", ts.Getenv("SANDBOX_VAULT_TOKEN"))
	answer, err := client.Do(request)
	ts.Check(err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	ts.Check(err)
	show(ts, bytes.NewBuffer(text), &bytes.Buffer{})
	if failed := answer.StatusCode >= 300; failed != neg {
		ts.Fatalf("%s %s: %s\n%s", args[0], args[1], answer.Status, text)
	}
}

// mask is `mask FILE REGEXP TEXT`: it replaces what differs from run to run.
func mask(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: mask FILE REGEXP TEXT")
	}
	text := regexp.MustCompile(args[1]).ReplaceAllString(ts.ReadFile(args[0]), args[2])
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
}

// readme is `readme N FILE`: it writes the N-th shell block of README.md to a file,
// without the lines that install valetkey or start another sandbox.
func readme(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: readme N FILE")
	}
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	text, err := os.ReadFile("../README.md")
	ts.Check(err)
	blocks := strings.Split(string(text), "```sh\n")
	if n >= len(blocks) {
		ts.Fatalf("README.md has %d shell blocks", len(blocks)-1)
	}
	block, _, _ := strings.Cut(blocks[n], "```")
	var kept strings.Builder
	for l := range strings.SplitSeq(block, "\n") {
		if !strings.HasPrefix(l, "go install") && !strings.HasPrefix(l, "valetkey dev") {
			kept.WriteString(l + "\n")
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(kept.String()), 0o600))
}

// typed is `typed CODE ANSWERS COMMAND...`: it runs the command with a
// terminal of its own and types one line of the file ANSWERS at each question.
// What the terminal showed is in the file `screen`.
func typed(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: typed CODE ANSWERS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	answers := strings.SplitAfter(ts.ReadFile(args[1]), "\n")
	env := environment(ts)
	master, slave, err := pty.Open()
	ts.Check(err)
	defer func() { _ = master.Close() }()
	var out, errs, screen bytes.Buffer
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		buffer := make([]byte, 4096)
		for shown := 0; ; {
			n, err := master.Read(buffer)
			screen.Write(buffer[:n])
			pending := strings.TrimRight(screen.String()[shown:], " ")
			if len(answers) > 0 && (strings.HasSuffix(pending, ":") || strings.HasSuffix(pending, "]")) {
				shown = screen.Len()
				_, _ = io.WriteString(master, answers[0])
				answers = answers[1:]
			}
			if err != nil {
				return
			}
		}
	}()
	got := run(ts, args[2:], env, slave, &out, &errs)
	_ = slave.Close()
	select {
	case <-finished:
	case <-time.After(10 * time.Second):
		ts.Fatalf("the terminal stays open")
	}
	show(ts, &out, &errs)
	ts.Check(os.WriteFile(ts.MkAbs("screen"), screen.Bytes(), 0o600))
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d\nscreen: %s\nstdout: %s\nstderr: %s", strings.Join(args[2:], " "), got, want, &screen, &out, &errs)
	}
}

// run runs a command in the story's folder and returns its exit code. A last
// argument <FILE is its standard input.
func run(ts *testscript.TestScript, args, env []string, terminal *os.File, out, errs *bytes.Buffer) int {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	var input *os.File
	if last := args[len(args)-1]; strings.HasPrefix(last, "<") {
		f, err := os.Open(ts.MkAbs(last[1:]))
		ts.Check(err)
		defer func() { _ = f.Close() }()
		args, input = args[:len(args)-1], f
	}
	path := args[0]
	if path == "valetkey" {
		path = binary
	}
	cmd := exec.CommandContext(ctx, path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = out, errs
	if input != nil {
		cmd.Stdin = input
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // no terminal of the person who runs the tests
	if terminal != nil {
		cmd.ExtraFiles = []*os.File{terminal}
		cmd.SysProcAttr.Setctty, cmd.SysProcAttr.Ctty = true, 3
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()) // as a shell has it
		}
		return exit.ExitCode()
	}
	_, _ = fmt.Fprintln(errs, err)
	return -1
}

// environment is all that the story has set.
func environment(ts *testscript.TestScript) []string {
	// The story's own stdout and stderr are left alone.
	ts.Check(ts.Exec("sh", "-c", "env -0 > .environment"))
	return strings.Split(strings.TrimSuffix(ts.ReadFile(".environment"), "\x00"), "\x00")
}

// show hands the output to the story's stdout and stderr commands.
func show(ts *testscript.TestScript, out, errs *bytes.Buffer) {
	_, _ = ts.Stdout().Write(out.Bytes())
	_, _ = ts.Stderr().Write(errs.Bytes())
}
