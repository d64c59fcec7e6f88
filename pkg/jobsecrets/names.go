package jobsecrets

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/valetkey/valetkey/pkg/failure"
)

// reserved is the name beside a team's jobs under which the Control Service
// keeps the team's own OAuth client. It is never a job.
const reserved = "team-oauth-credentials"

// Job names one data job. Its secrets lie at team/job.
type Job struct{ Team, Name string }

// NewJob checks the names of a team and a job; a bad one is Usage. Spaces are
// allowed. Characters that would change the URL which the Control Service
// builds from them are not, whatever this tool would make of them.
func NewJob(team, name string) (Job, error) {
	if err := checkTeam(team); err != nil {
		return Job{}, err
	}
	if err := checkPart("job", name); err != nil {
		return Job{}, err
	}
	if name == reserved {
		return Job{}, failure.New(failure.Usage, "job %s is reserved for the team's OAuth client", name)
	}
	return Job{Team: team, Name: name}, nil
}

// String is team/job, which is also the path below the mount, not escaped.
func (j Job) String() string { return j.Team + "/" + j.Name }

func checkTeam(team string) error { return checkPart("team", team) }

func checkPart(what, name string) error {
	switch {
	case name == "":
		return failure.New(failure.Usage, "no %s given", what).
			WithHint("--%s, VALETKEY_%s or the profile names it", what, strings.ToUpper(what))
	case name == "." || name == "..":
		return failure.New(failure.Usage, "%s %q is no name", what, name)
	case !utf8.ValidString(name):
		return failure.New(failure.Usage, "the name of the %s is not UTF-8", what)
	}
	for _, r := range name {
		if strings.ContainsRune("/#?{}", r) || (r != ' ' && !unicode.IsPrint(r)) || r == utf8.RuneError {
			return failure.New(failure.Usage, "%s %q has the character %q, which no %s may have", what, name, r, what)
		}
	}
	return nil
}

// CheckName checks the name of a secret by VDK's rules for a key: not empty,
// no white space. A bad one is Usage.
func CheckName(name string) error {
	switch {
	case name == "":
		return failure.New(failure.Usage, "the name of a secret is empty")
	case !utf8.ValidString(name):
		return failure.New(failure.Usage, "the name of a secret is not UTF-8")
	}
	for _, r := range name {
		// Python, whose rule this is, counts U+001C to U+001F as white space too.
		if unicode.IsSpace(r) || (r >= 0x1c && r <= 0x1f) {
			return failure.New(failure.Usage, "secret name %q has white space in it", name)
		}
	}
	return nil
}

// options are the configuration keys of vdk-core and of the plugins that come
// with it. At its start a job takes secrets of these names as configuration.
var options = map[string]bool{}

func init() {
	for _, name := range VDKOptions() {
		options[name] = true
	}
}

// VDKOptions is the published list behind [IsVDKOption], sorted.
func VDKOptions() []string {
	return []string{
		"ATTEMPT_ID", "CONTROL_SERVICE_REST_API_URL", "DB_DEFAULT_TYPE", "ENABLE_ATTEMPT_NOTIFICATIONS", "EXECUTION_ID",
		"INGESTER_WAIT_TO_FINISH_AFTER_EVERY_SEND", "INGEST_METHOD_DEFAULT", "INGEST_PAYLOAD_POSTPROCESS_SEQUENCE",
		"INGEST_PAYLOAD_PREPROCESS_SEQUENCE", "INGEST_TARGET_DEFAULT", "JOB_GITHASH", "LOG_CONFIG", "LOG_LEVEL_MODULE",
		"LOG_LEVEL_VDK", "LOG_STACK_TRACE_ON_EXIT", "MONITORING_ENABLED", "NOTIFICATION_ENABLED",
		"NOTIFIED_ON_JOB_DEPLOY", "NOTIFIED_ON_JOB_FAILURE_PLATFORM_ERROR", "NOTIFIED_ON_JOB_FAILURE_USER_ERROR",
		"NOTIFIED_ON_JOB_SUCCESS", "OP_ID", "PROPERTIES_DEFAULT_TYPE", "PYTHON_VERSION", "SECRETS_DEFAULT_TYPE", "TEAM",
		"TEMPORARY_WRITE_DIRECTORY", "WORKING_DIR",
	}
}

// IsVDKOption reports whether a running job would take a secret of this name
// for one of its options, silently: `set` warns about it. Case does not count,
// and - and . are as good as _.
func IsVDKOption(name string) bool {
	return options[strings.TrimPrefix(strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(name)), "VDK_")]
}
