package doors

import "strings"

// A room is one package (or, with /... at its end, a package and all below it).
type room struct {
	dir     string
	why     string            // what the room is, said when a door of it is broken
	ours    []string          // packages of this module it may import; "*" = any
	never   map[string]string // import path → why not; a path covers what is below it
	may     []string          // what is forbidden everywhere else and allowed here
	clock   clock             // what it may do with time
	planned bool              // not built yet: its doors are fixed before its walls
}

// clock says what a room may do with time.
type clock int

const (
	given clock = iota // time is an argument, and nothing waits
	waits              // time is an argument; waiting with a timer is fine
	reads              // may read the clock
)

// Why things are forbidden, where it is said more than once.
var (
	noCommands = "only cli builds commands"
	noViper    = "only settings knows where a value comes from"
	noTalk     = "only the clients and the sandbox talk to servers"

	// pure packages take bytes and values and give bytes and values.
	pure = map[string]string{
		"os": "pure packages do no I/O", "os/exec": "pure packages do no I/O", "os/user": "pure packages do no I/O",
		"net": "pure packages do no I/O", "net/http": "pure packages do no I/O", "crypto/tls": "pure packages do no I/O",
		"syscall":     "pure packages do no I/O",
		"crypto/rand": "randomness is an argument", "math/rand": "randomness is an argument", "math/rand/v2": "randomness is an argument",
		"github.com/aws": "the SDK is the oracle of the tests, not the implementation",
	}
	// useCases take what they need as interfaces, declared where they are used.
	useCases = map[string]string{
		"net": noTalk, "net/http": noTalk, "crypto/tls": noTalk, "os/exec": "a use-case starts no programs",
		"github.com/aws": noTalk, "github.com/hashicorp": noTalk, "github.com/zalando/go-keyring": "only keystore knows the stores", "filippo.io/age": "only keystore knows the stores",
		"golang.org/x/term": "only terminal asks people",
	}
)

// rooms is the plan of the house. A package without a row fails the test.
var rooms = []room{
	{dir: "pkg/failure", why: "error kinds stand on nothing", ours: nil},
	{dir: "pkg/secret", why: "secret text stands on nothing", ours: nil},
	{dir: "pkg/durable", why: "atomic files and locks", ours: []string{"failure"}, clock: reads, may: []string{"time.Sleep"}},
	{dir: "pkg/wire", why: "the transport that clients share", ours: []string{"failure", "secret"}, clock: reads},

	{dir: "pkg/policy", why: "pure: parse, print, lint, simulate, diff", ours: []string{"failure", "typo"}, never: pure},
	{dir: "pkg/presign", why: "pure: signatures of URLs and POST policies", ours: []string{"failure", "secret"}, never: pure},

	{dir: "pkg/accesskey", why: "use-cases over keys", ours: []string{"failure", "secret", "durable"}, never: useCases, clock: waits},
	{dir: "pkg/jobsecrets", why: "use-cases over secrets", ours: []string{"failure", "secret"}, never: useCases, clock: waits},
	{dir: "pkg/lease", why: "use-cases over leases", ours: []string{"failure", "secret"}, never: useCases, clock: waits, planned: true},
	{dir: "pkg/logintoken", why: "the stored form of a login", ours: []string{"failure", "secret"}, never: pure},
	{dir: "pkg/typo", why: "finds what a mistyped word was meant to be", ours: nil, never: pure},
	{dir: "pkg/childenv", why: "composes the environment of a child from values", ours: []string{"failure", "secret"}, never: useCases},
	{dir: "pkg/awsconfig", why: "edits the text of an AWS config file", ours: []string{"failure"}, never: useCases},

	{dir: "pkg/vms", why: "the VMS client", ours: []string{"failure", "secret", "wire"}, clock: reads},
	{dir: "pkg/vms/vmsfacts", why: "what is known of the VMS API, as data", ours: nil},
	{dir: "pkg/vault", why: "the Vault client", ours: []string{"failure", "secret", "wire"}, clock: reads},
	{dir: "pkg/s3", why: "the S3 client", ours: []string{"failure", "secret", "wire"}, clock: reads, planned: true},
	{dir: "pkg/keystore", why: "the stores for keys", ours: []string{"failure", "secret", "durable"}, clock: reads},

	{dir: "pkg/doctor", why: "a registry of checks, each with its deadline", ours: []string{"failure"}, never: useCases},
	{dir: "pkg/settings", why: "the one table of settings, and of the clock that the sandbox moves", ours: []string{"failure", "secret", "durable", "typo"}, clock: reads},
	{dir: "pkg/terminal", why: "streams and prompts", ours: []string{"failure", "secret"}, clock: reads},
	{dir: "pkg/render", why: "answers as table, json, yaml", ours: []string{"failure", "secret", "terminal"}},
	{dir: "pkg/cli", why: "the command tree and the wiring", ours: []string{"*"}, may: []string{"os/signal."}, clock: reads},

	{
		dir: "pkg/sandbox/...", why: "the servers judge by their own code",
		ours: []string{"failure", "secret", "durable", "awsconfig", "childenv", "typo", "sandbox/..."}, clock: reads,
		never: map[string]string{
			module + "/pkg/presign": "the sandbox judges signatures by its own code",
			module + "/pkg/policy":  "the sandbox judges policies by its own code",
		},
	},

	{dir: "cmd/valetkey", why: "main", ours: []string{"cli", "terminal", "failure"}, may: []string{"os.", "os/signal."}, clock: reads},
	{dir: "cmd/gen-docs", why: "writes man pages, completions and the reference", ours: []string{"*"}, may: []string{"os.", "fmt."}},
	{dir: "testscripts/...", why: "programs and tests around the product", ours: []string{"*"}, may: []string{"os.", "fmt.", "net/http.", "log.", "print", "time."}, clock: reads},
}

// everywhere is forbidden outside the rooms that are named.
var everywhere = []struct {
	path  string
	rooms []string
	why   string
}{
	{"github.com/spf13/cobra", []string{"pkg/cli", "cmd/"}, noCommands},
	{"github.com/spf13/pflag", []string{"pkg/cli", "pkg/settings", "cmd/"}, noCommands},
	{"github.com/spf13/viper", []string{"pkg/settings"}, noViper},
	{"github.com/zalando/go-keyring", []string{"pkg/keystore"}, "only keystore knows the stores"},
	{"filippo.io/age", []string{"pkg/keystore", "pkg/sandbox", "testscripts/"}, "only keystore knows the stores"},
	{"github.com/hashicorp/vault", []string{"pkg/vault"}, "only the Vault client talks to Vault, and a real server is never linked into the product"},
	{"github.com/aws/aws-sdk-go-v2", []string{"pkg/s3", "testscripts/"}, "only the S3 client talks to S3"},
	{"github.com/rclone/gofakes3", []string{"pkg/sandbox"}, "the object store of the sandbox"},
	{"github.com/minio/minio", nil, "a real server is never linked into the product"},
	{"golang.org/x/term", []string{"pkg/terminal", "testscripts/"}, "only terminal asks people"},
	{"testing", []string{"testscripts/", "pkg/sandbox"}, "the product does not carry the testing package"},
	{"unsafe", nil, "nothing here is worth it"},
	{"io/ioutil", nil, "io and os have it all"},
	{"net/http/pprof", nil, "it registers itself on the default server"},
	{"expvar", nil, "it registers itself on the default server"},
}

// taboo is what no room uses unless its row says so in may. A name that ends in
// a dot, there, covers a whole package.
var taboo = map[string]string{
	"os.Getenv":        "the environment comes in as a value that main hands to settings",
	"os.LookupEnv":     "the environment comes in as a value that main hands to settings",
	"os.Environ":       "the environment comes in as a value that main hands to settings",
	"os.ExpandEnv":     "the environment comes in as a value that main hands to settings",
	"os.Setenv":        "a child's environment is composed, ours is never changed",
	"os.Unsetenv":      "a child's environment is composed, ours is never changed",
	"os.Clearenv":      "a child's environment is composed, ours is never changed",
	"os.UserHomeDir":   "it reads the environment: ask settings",
	"os.UserConfigDir": "it reads the environment: ask settings",
	"os.UserCacheDir":  "it reads the environment: ask settings",
	"syscall.Getenv":   "the environment comes in as a value that main hands to settings",
	"syscall.Environ":  "the environment comes in as a value that main hands to settings",
	"os.Exit":          "only main exits",
	"syscall.Exit":     "only main exits",
	"runtime.Goexit":   "only main exits",
	"os.Stdin":         "streams are values that main hands to terminal",
	"os.Stdout":        "streams are values that main hands to terminal",
	"os.Stderr":        "streams are values that main hands to terminal",
	"os.Args":          "arguments are values that main hands to cli",
	"log.Default":      "it writes to stderr; a logger is made with its writer",
	"log.SetOutput":    "global state", "log.SetFlags": "global state", "log.SetPrefix": "global state",
	"log.Print": "it writes to stderr", "log.Printf": "it writes to stderr", "log.Println": "it writes to stderr",
	"log.Fatal": "only main exits", "log.Fatalf": "only main exits", "log.Fatalln": "only main exits",
	"log.Panic": "it writes to stderr", "log.Panicf": "it writes to stderr", "log.Panicln": "it writes to stderr",
	"log/slog.Default":    "its default writes to stderr; say it with failure and terminal",
	"log/slog.SetDefault": "global state",
	"time.Sleep":          "a sleep cannot be cancelled: wait with a timer and the context",
	"os/signal.Notify":    "signals are caught by main, and passed on by exec",
	"fmt.Print":           "only terminal and render write to a stream",
	"fmt.Printf":          "only terminal and render write to a stream",
	"fmt.Println":         "only terminal and render write to a stream",
	"print":               "only terminal and render write to a stream",
	"println":             "only terminal and render write to a stream",
	"fmt.Scan":            "only terminal reads answers",
	"fmt.Scanln":          "only terminal reads answers",
	"fmt.Scanf":           "only terminal reads answers",
	"net/http.Get":        "it uses the default client, which reads proxies from the environment and has no deadline",
	"net/http.Head":       "it uses the default client, which reads proxies from the environment and has no deadline",
	"net/http.Post":       "it uses the default client, which reads proxies from the environment and has no deadline",
	"net/http.PostForm":   "it uses the default client, which reads proxies from the environment and has no deadline",
	"net/http.NewRequest": "a request without a context cannot be cancelled",

	"net/http.DefaultClient":        "it reads proxies from the environment and has no deadline",
	"net/http.DefaultTransport":     "it reads proxies from the environment",
	"net/http.DefaultServeMux":      "global state",
	"net/http.Handle":               "global state",
	"net/http.HandleFunc":           "global state",
	"net/http.ProxyFromEnvironment": "proxies come from settings",
}

// clockNames read the clock or wait by it, and say what a room must be allowed.
// A sleep cannot be cancelled: only programs around the product sleep.
var clockNames = map[string]clock{
	"time.Now": reads, "time.Since": reads, "time.Until": reads,
	"time.After": waits, "time.AfterFunc": waits, "time.Tick": waits, "time.NewTimer": waits, "time.NewTicker": waits,
}

// roomOf finds the row of a package: an exact one before a /... one.
func roomOf(dir string) (room, bool) {
	for _, r := range rooms {
		if r.dir == dir {
			return r, true
		}
	}
	for _, r := range rooms {
		if base, deep := strings.CutSuffix(r.dir, "/..."); deep && covers(base, dir) {
			return r, true
		}
	}
	return room{}, false
}

// refuses says why the room may not import a package, "" if it may.
func (r room) refuses(dir, imported string) string {
	for prefix, why := range r.never {
		if coversImport(prefix, imported) {
			return why
		}
	}
	for _, rule := range everywhere {
		if !coversImport(rule.path, imported) {
			continue
		}
		allowed := false
		for _, where := range rule.rooms {
			allowed = allowed || covers(strings.TrimSuffix(where, "/"), dir)
		}
		if rule.path == "github.com/hashicorp/vault" && allowed {
			// The client library is a module of its own below the server's path.
			allowed = covers("github.com/hashicorp/vault/api", imported)
		}
		if !allowed {
			return rule.why
		}
	}
	ours, mine := strings.CutPrefix(imported, module+"/pkg/")
	if !mine {
		if covers(module, imported) && !covers("testscripts", dir) {
			return "programs and tests are not libraries"
		}
		return ""
	}
	for _, allowed := range r.ours {
		base, deep := strings.CutSuffix(allowed, "/...")
		if allowed == "*" || ours == base || deep && covers(base, ours) {
			return ""
		}
	}
	if covers(dir, "pkg/"+ours) {
		return "" // a package's own internal packages
	}
	return r.why + "; its doors lead to: " + strings.Join(append([]string{"the standard library"}, r.ours...), ", ")
}

// forbids says why the room may not use a name, "" if it may.
func (r room) forbids(name string) string {
	for _, allowed := range r.may {
		if name == allowed || strings.HasSuffix(allowed, ".") && strings.HasPrefix(name, allowed) || allowed == "print" && name == "println" {
			return ""
		}
	}
	if clockNames[name] > r.clock {
		return "time is an argument here (" + r.why + ")"
	}
	return taboo[name]
}

// covers tells whether name is base or lies below it.
func covers(base, name string) bool {
	return name == base || strings.HasPrefix(name, base+"/")
}

// coversImport is covers for import paths, but a package of the standard library
// stands for itself alone: net does not cover net/url.
func coversImport(base, imported string) bool {
	if !strings.Contains(strings.SplitN(base, "/", 2)[0], ".") {
		return base == imported
	}
	return covers(base, imported)
}
