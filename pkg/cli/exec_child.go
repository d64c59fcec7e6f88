package cli

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
)

// childOptions say how a command is run; the zero value runs it to its end.
type childOptions struct {
	patience time.Duration // after a signal the command is killed if it does not end within; 0 waits on
	started  func()        // called once it runs; may be nil
}

// runChild runs a command with our streams and in our process group, so that it
// can use the terminal and be stopped with it. It passes signals on, and returns
// the exit code as failure.Exit, or nil if that is 0. After an interruption
// nothing is started.
func (a *app) runChild(args, env []string, o childOptions) error {
	path, err := findProgram(args[0], a.env["PATH"])
	if err != nil {
		return notRunnable(args[0], err)
	}
	child := &exec.Cmd{Path: path, Args: args, Env: env, Stdin: a.proc.Stdin, Stdout: a.proc.Stdout, Stderr: a.proc.Stderr}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, passedOn()...)
	defer signal.Stop(signals)
	if err := a.base.Err(); err != nil {
		return failure.Wrap(failure.Cancelled, err, "run %s", args[0])
	}
	if err := child.Start(); err != nil {
		return notRunnable(args[0], err)
	}
	defer a.takeTime()()
	if o.started != nil {
		o.started()
	}
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				if !sentToGroup(s) {
					_ = child.Process.Signal(s)
				}
				if o.patience > 0 {
					kill := time.AfterFunc(o.patience, func() { _ = child.Process.Kill() })
					defer kill.Stop()
				}
			case <-ended:
				return
			}
		}
	}()
	err = child.Wait()
	close(ended)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		return failure.Exit(exitCode(exit.ProcessState))
	}
	return failure.Wrap(failure.Internal, err, "run %s", args[0])
}

// takeTime keeps an interrupted valetkey from being given up until the function
// it returns is called.
func (a *app) takeTime() func() {
	a.takesTime.Add(1)
	return func() { a.takesTime.Add(-1) }
}

// notRunnable is the error of a program that cannot be run, with the exit code
// that shells have for it.
func notRunnable(name string, err error) error {
	code, kind := 126, failure.Usage
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOENT) {
		code, kind = 127, failure.NotFound
	}
	e := failure.New(kind, "cannot run %s: %v", name, reason(err)).WithDetail("exit_code", code)
	if errors.Is(err, exec.ErrDot) {
		e = e.WithHint("name it as .%c%s if you mean the one in this directory", os.PathSeparator, name)
	}
	return &exitAs{e, code}
}

// exitAs is an error that ends with an exit code of its own.
type exitAs struct {
	error
	code int
}

// Unwrap returns the error with its kind and details.
func (e *exitAs) Unwrap() error { return e.error }

func reason(err error) error {
	var e *exec.Error
	if errors.As(err, &e) {
		err = e.Err // often a PathError, which names the program once more
	}
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// findProgram looks a program up in the PATH that the person has.
func findProgram(name, path string) (string, error) {
	if strings.ContainsRune(name, os.PathSeparator) || runtime.GOOS == "windows" {
		return exec.LookPath(name) // on Windows without the current directory: a key is at stake
	}
	denied := error(nil)
	for _, dir := range strings.Split(path, string(os.PathListSeparator)) {
		if dir == "" {
			dir = "." // as a shell has it
		}
		candidate := dir + string(os.PathSeparator) + name
		info, err := os.Stat(candidate)
		switch {
		case err != nil || info.IsDir():
			continue
		case info.Mode()&0o111 != 0:
			return candidate, nil
		}
		denied = &exec.Error{Name: name, Err: fs.ErrPermission}
	}
	if denied != nil {
		return "", denied
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}
