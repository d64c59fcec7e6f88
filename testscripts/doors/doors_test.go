package doors

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/valetkey/valetkey"

// TestDoors reads the imports of every package, for every operating system at
// once: files are parsed whatever their build constraints say.
func TestDoors(t *testing.T) {
	t.Parallel()
	for dir, files := range parseModule(t) {
		for _, finding := range judge(dir, files) {
			t.Error(finding)
		}
	}
}

// TestRowsAreUsed keeps the table honest: a row for a package that has gone, or
// a permission that nobody uses any more, is a door left open.
func TestRowsAreUsed(t *testing.T) {
	t.Parallel()
	packages := parseModule(t)
	for _, r := range rooms {
		dir, deep := strings.CutSuffix(r.dir, "/...")
		found := false
		for have := range packages {
			if have == dir || deep && strings.HasPrefix(have, dir+"/") {
				found = true
			}
		}
		if !found && !r.planned {
			t.Errorf("the row for %s names a package that does not exist", r.dir)
		}
		if found && r.planned {
			t.Errorf("%s exists now: take `planned` off its row", r.dir)
		}
	}
}

// TestDoorsNoticeABreach feeds broken packages to the same judge, so that a rule
// that has stopped working is a red test and not a quiet pass.
func TestDoorsNoticeABreach(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, dir, source, want string }{
		{"a new room needs a row", "pkg/attic", `package attic`, "needs a row"},
		{"a use-case imports a client", "pkg/accesskey", `package accesskey; import _ "` + module + `/pkg/vms"`, "may not import pkg/vms"},
		{"a use-case imports the file system's environment", "pkg/lease", `package lease; import "os"; var _ = os.Getenv("HOME")`, "os.Getenv"},
		{"an alias hides nothing", "pkg/vms", `package vms; import o "os"; var _ = o.Environ()`, "os.Environ"},
		{"a function value is a call too", "pkg/vms", `package vms; import "os"; var look = os.LookupEnv`, "os.LookupEnv"},
		{"a dot import could hide one", "pkg/vms", `package vms; import . "os"; var _ = Getenv`, "dot import"},
		{"a client imports another client", "pkg/vault", `package vault; import _ "` + module + `/pkg/s3"`, "may not import pkg/s3"},
		{"a client imports cobra", "pkg/keystore", `package keystore; import _ "github.com/spf13/cobra"`, "may not import github.com/spf13/cobra"},
		{"viper outside settings", "pkg/cli", `package cli; import _ "github.com/spf13/viper"`, "may not import github.com/spf13/viper"},
		{"a pure package reads the clock", "pkg/presign", `package presign; import "time"; var _ = time.Now`, "time.Now"},
		{"a pure package does I/O", "pkg/policy", `package policy; import _ "net/http"`, "may not import net/http"},
		{"a use-case reads the clock", "pkg/jobsecrets", `package jobsecrets; import "time"; var _ = time.Since(time.Time{})`, "time.Since"},
		{"the sandbox borrows the signer it judges", "pkg/sandbox/s3test", `package s3test; import _ "` + module + `/pkg/presign"`, "may not import pkg/presign"},
		{"the sandbox borrows the policy package it judges", "pkg/sandbox/vmstest", `package vmstest; import _ "` + module + `/pkg/policy"`, "may not import pkg/policy"},
		{"somebody exits", "pkg/cli", `package cli; import "os"; func f() { os.Exit(1) }`, "os.Exit"},
		{"somebody exits through log", "pkg/cli", `package cli; import "log"; func f() { log.Fatal() }`, "log.Fatal"},
		{"somebody prints", "pkg/vms", `package vms; import "fmt"; func f() { fmt.Println() }`, "fmt.Println"},
		{"somebody uses the builtin print", "pkg/vms", `package vms; func f() { println(1) }`, "println"},
		{"somebody takes a stream", "pkg/terminal", `package terminal; import "os"; var out = os.Stdout`, "os.Stdout"},
		{"a proxy from the environment", "pkg/wire", `package wire; import "net/http"; var p = http.ProxyFromEnvironment`, "http.ProxyFromEnvironment"},
		{"a client of everybody's", "pkg/s3", `package s3; import "net/http"; var c = http.DefaultClient`, "http.DefaultClient"},
		{"the product links a test server", "pkg/vault", `package vault; import _ "github.com/hashicorp/vault/vault"`, "may not import github.com/hashicorp/vault/vault"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			file, err := parser.ParseFile(token.NewFileSet(), "x.go", c.source, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			findings := judge(c.dir, []parsed{{"x.go", token.NewFileSet(), file}})
			if !slices.ContainsFunc(findings, func(f string) bool { return strings.Contains(f, c.want) }) {
				t.Errorf("findings %q, want one with %q", findings, c.want)
			}
		})
	}
}

type parsed struct {
	name string
	set  *token.FileSet
	file *ast.File
}

// parseModule parses each package of this module: what tests are made of is
// left out (a test may ask anybody to be its witness), and so are the modules
// below this one.
func parseModule(t *testing.T) map[string][]parsed {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string][]parsed{}
	set := token.NewFileSet()
	err = filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == root {
				return nil
			}
			base := entry.Name()
			if base == "testdata" || base == "node_modules" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
				return filepath.SkipDir
			}
			if mods, _ := filepath.Glob(filepath.Join(name, "go.mod")); mods != nil {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		short, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		short = filepath.ToSlash(short)
		dir := path.Dir(short)
		packages[dir] = append(packages[dir], parsed{short, set, file})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) == 0 {
		t.Fatal("no packages found: the doors were not looked at")
	}
	return packages
}

// judge returns what is wrong with one package, a line each.
func judge(dir string, files []parsed) (findings []string) {
	room, ok := roomOf(dir)
	if !ok {
		return []string{dir + ": a new room needs a row in the table of testscripts/doors/rooms_test.go"}
	}
	for _, f := range files {
		for _, spec := range f.file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				findings = append(findings, f.name+": "+err.Error())
				continue
			}
			if why := room.refuses(dir, imported); why != "" {
				short := strings.TrimPrefix(imported, module+"/")
				findings = append(findings, fmt.Sprintf("%s: %s may not import %s: %s", f.name, dir, short, why))
			}
			if spec.Name != nil && spec.Name.Name == "." {
				findings = append(findings, fmt.Sprintf("%s: a dot import of %s hides what is used of it", f.name, imported))
			}
		}
		for _, u := range uses(f.file) {
			if why := room.forbids(u.name); why != "" {
				findings = append(findings, fmt.Sprintf("%s: uses %s: %s", at(f, u.pos), u.name, why))
			}
		}
	}
	return findings
}

func at(f parsed, pos token.Pos) string {
	if p := f.set.Position(pos); p.IsValid() {
		return f.name + ":" + strconv.Itoa(p.Line)
	}
	return f.name
}

type use struct {
	name string
	pos  token.Pos
}

// uses lists what a file takes from the packages it imports, as
// "import/path.Name", and the print builtins by their bare names.
func uses(file *ast.File) (found []use) {
	names := map[string]string{}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			continue
		}
		name := path.Base(imported)
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = imported
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if x, ok := n.X.(*ast.Ident); ok && names[x.Name] != "" {
				found = append(found, use{names[x.Name] + "." + n.Sel.Name, n.Pos()})
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && (f.Name == "print" || f.Name == "println") {
				found = append(found, use{f.Name, n.Pos()})
			}
		}
		return true
	})
	return found
}
