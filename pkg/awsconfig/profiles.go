package awsconfig

import "strings"

// Profiles returns the names of the profiles of a config file, in its order.
// Sections of other kinds, such as sso-session, are left out.
func Profiles(file []byte) []string {
	var names []string
	seen := map[string]bool{}
	for _, l := range splitLines(file) {
		section, isHeader := header(l)
		if !isHeader {
			continue
		}
		name := section
		if section != "default" {
			var found bool
			if name, found = strings.CutPrefix(section, "profile "); !found {
				continue
			}
		}
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	return names
}
