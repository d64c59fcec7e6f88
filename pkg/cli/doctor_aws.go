package cli

import (
	"context"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/awsconfig"
	"github.com/valetkey/valetkey/pkg/doctor"
	"github.com/valetkey/valetkey/pkg/settings"
)

// processLine is a credential_process line that runs valetkey. What other
// programs do there is their own affair.
type processLine struct{ profile, line string }

// processLines reads the config file of AWS tools. Without a place for one there is none.
func (d *checkup) processLines() (path string, config []byte, lines []processLine, err error) {
	path, err = d.awsFile("AWS_CONFIG_FILE", "config")
	if err != nil {
		return "", nil, nil, nil //nolint:nilerr // no home, no file
	}
	config, err = readOptional(path)
	if err != nil {
		return path, nil, nil, err
	}
	for _, profile := range awsconfig.Profiles(config) {
		entries, found := awsconfig.Get(config, awsconfig.Section(profile))
		if !found { // [profile default] is taken too
			entries, _ = awsconfig.Get(config, "profile "+profile)
		}
		line := entries["credential_process"]
		if strings.Contains(line, "valetkey") || strings.Contains(line, "credential-process") {
			lines = append(lines, processLine{profile, line})
		}
	}
	return path, config, lines, nil
}

func (d *checkup) checkShadow(context.Context) ([]doctor.Finding, error) {
	path, config, lines, err := d.processLines()
	if err != nil || len(lines) == 0 {
		return trouble(doctor.Error, err), nil
	}
	var findings []doctor.Finding
	if d.env["AWS_ACCESS_KEY_ID"] != "" {
		findings = append(findings, one(doctor.Warning, "unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN",
			"AWS_ACCESS_KEY_ID is set: AWS tools take that key instead of asking valetkey, unless they are given --profile")...)
	}
	if d.env["AWS_WEB_IDENTITY_TOKEN_FILE"] != "" && d.env["AWS_ROLE_ARN"] != "" {
		findings = append(findings, one(doctor.Warning, "unset AWS_WEB_IDENTITY_TOKEN_FILE AWS_ROLE_ARN",
			"AWS_WEB_IDENTITY_TOKEN_FILE is set, and AWS_ROLE_ARN: AWS tools take on that role instead of asking valetkey, unless they are given --profile")...)
	}
	for _, l := range lines {
		entry, where, err := d.shadow(l.profile, path, config)
		if err != nil {
			return append(findings, trouble(doctor.Error, err)...), nil
		}
		if entry != "" {
			findings = append(findings, one(doctor.Warning, "remove it there, or let valetkey have a profile of its own: valetkey configure aws",
				"the profile %s has %s in %s: AWS tools take that instead of asking valetkey", l.profile, entry, where)...)
		}
	}
	return findings, nil
}

func (d *checkup) checkProcess(context.Context) ([]doctor.Finding, error) {
	_, _, lines, err := d.processLines()
	if err != nil {
		return nil, nil //nolint:nilerr // the check before this one says it
	}
	var findings []doctor.Finding
	for _, l := range lines {
		words, found := doctor.ReadLine(l.line, runtime.GOOS == "windows")
		if len(words) > 0 {
			if words[0] == awsconfig.Env && len(words) > 1 {
				words = words[1:]
			}
			found = append(found, d.program(words[0])...)
			found = append(found, d.patience(words)...)
		}
		for _, f := range found {
			f.Message = "profile " + l.profile + ": " + f.Message
			findings = append(findings, f)
		}
	}
	return findings, nil
}

// program looks for the program of a line as tools without a shell do.
func (d *checkup) program(name string) []doctor.Finding {
	const again = "valetkey configure aws writes the path of the valetkey that runs it"
	if _, err := findProgram(name, d.env["PATH"]); err != nil {
		return one(doctor.Error, again, "there is no program %q to run", name)
	}
	if !filepath.IsAbs(name) {
		return one(doctor.Info, again, "%q has no absolute path: a tool with another PATH or directory will not find it", name)
	}
	return nil
}

// Some SDKs give a program only so long. The others wait.
const (
	rustWaits = 5 * time.Second // for the whole chain of providers
	goWaits   = time.Minute
)

// patience tells when valetkey may wait longer than its caller does. Only a key
// that must be issued first takes so long.
func (d *checkup) patience(words []string) []doctor.Finding {
	limit := d.global.Timeout.Duration()
	for i, w := range words {
		text, found := strings.CutPrefix(w, "--timeout=")
		if w == "--timeout" && i+1 < len(words) {
			text, found = words[i+1], true
		}
		if given, err := settings.ParseDuration(text); found && err == nil {
			limit = given
		}
	}
	who := "the SDK for Rust waits 5 seconds"
	switch {
	case limit <= rustWaits:
		return nil
	case limit > goWaits:
		who += ", the one for Go a minute"
	}
	return one(doctor.Info, "issue the key beforehand with valetkey keys create, or put --timeout 5s into the line",
		"a first key may take %s to issue: %s", limit, who)
}
