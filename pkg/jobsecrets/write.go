package jobsecrets

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/secret"
)

const (
	// tries is how often a write is tried while others write too.
	tries = 10
	// shortest and longest bound the random wait before the second and the
	// last try; it doubles between them.
	shortest = 20 * time.Millisecond
	longest  = time.Second
)

// Change gives a secret a value, which is JSON: see [TextValue] and [JSONValue].
type Change struct {
	Name  string
	Value secret.Text
}

// Written is the outcome of a write.
type Written struct {
	Version int      `json:"version"` // of the document; of the old one where nothing had to change
	Changed []string `json:"changed"` // the names that have another value now; never nil
}

// Set changes secrets and keeps all others. Names that break VDK's rules or
// come twice are Usage, more than [MaxSize] in all TooLarge, a secret that
// somebody else changed meanwhile Conflict. What has its value already is not
// written again. With dryRun everything is checked and nothing written.
func (s *Service) Set(ctx context.Context, job Job, changes []Change, dryRun bool) (Written, error) {
	if len(changes) == 0 {
		return Written{}, failure.New(failure.Usage, "no secret to set")
	}
	names := make([]string, 0, len(changes))
	for _, c := range changes {
		if err := CheckName(c.Name); err != nil {
			return Written{}, err
		}
		if slices.Contains(names, c.Name) {
			return Written{}, failure.New(failure.Usage, "secret %s is given twice", c.Name)
		}
		if !json.Valid(c.Value.Bytes()) {
			return Written{}, failure.New(failure.Internal, "the value of secret %s is not JSON", c.Name)
		}
		names = append(names, c.Name)
	}
	return s.change(ctx, job, "set secrets of "+job.String(), dryRun, func(base, now document) (object, error) {
		secrets := now.secrets
		for _, c := range changes {
			value := json.RawMessage(c.Value.Bytes())
			if err := unmoved(base, now, c.Name, value); err != nil {
				return nil, err
			}
			if old, ok := secrets.get(c.Name); ok && equal(old, value) {
				continue
			}
			if s.layoutOf(now) == Flat {
				if c.Name == innerMember && isString(value) {
					return nil, failure.New(failure.Usage, "a document with a text in %s would be read as the vdk layout", innerMember)
				}
				if err := exact(c.Name, value); err != nil {
					return nil, err
				}
			}
			secrets = secrets.set(c.Name, value)
		}
		if n := size(secrets); n > MaxSize && n > size(now.secrets) {
			return nil, failure.New(failure.TooLarge, "set secrets of %s: they would take %d bytes, and VDK allows %d", job, n, MaxSize).
				WithDetail("size", n).WithDetail("limit", MaxSize)
		}
		return secrets, nil
	})
}

// DeleteOptions say what [Service.Delete] removes.
type DeleteOptions struct {
	Names         []string
	All           bool // every secret; the job's document stays, with none
	IgnoreMissing bool // a name that is not there is no error
	DryRun        bool
}

// Delete removes secrets: all that are named, or none of them if one is not
// there (NotFound) or was changed meanwhile (Conflict).
func (s *Service) Delete(ctx context.Context, job Job, o DeleteOptions) (Written, error) {
	switch {
	case o.All && len(o.Names) > 0:
		return Written{}, failure.New(failure.Usage, "name the secrets to delete, or give --all, not both")
	case !o.All && len(o.Names) == 0:
		return Written{}, failure.New(failure.Usage, "no secret to delete").WithHint("name it, or --all")
	}
	return s.change(ctx, job, "delete secrets of "+job.String(), o.DryRun, func(base, now document) (object, error) {
		if o.All {
			// Whoever confirmed that all may go has not seen what came since.
			for _, name := range difference(base.secrets, now.secrets) {
				if err := unmoved(base, now, name, nil); err != nil {
					return nil, err
				}
			}
			return nil, nil
		}
		secrets := now.secrets
		var missing []string
		for _, name := range o.Names {
			if err := unmoved(base, now, name, nil); err != nil {
				return nil, err
			}
			if _, ok := base.secrets.get(name); !ok {
				missing = append(missing, name)
			}
			secrets = secrets.remove(name)
		}
		if len(missing) == 0 || o.IgnoreMissing {
			return secrets, nil
		}
		for _, name := range missing {
			if err := CheckName(name); err != nil {
				return nil, err
			}
		}
		return nil, failure.New(failure.NotFound, "%s has no secret %s", job, strings.Join(missing, ", ")).
			WithHint("--ignore-missing deletes what is there").WithDetail("names", missing)
	})
}

// unmoved fails if somebody else gave the secret another value since base was
// read, unless it has the wanted one now (nil: it is gone).
func unmoved(base, now document, name string, want json.RawMessage) error {
	before, had := base.secrets.get(name)
	after, has := now.secrets.get(name)
	switch {
	case had == has && (!has || equal(before, after)):
		return nil
	case want == nil && !has, want != nil && has && equal(after, want):
		return nil
	}
	return failure.New(failure.Conflict, "somebody else changed secret %s at the same time", name).
		WithHint("look at it again, then repeat the command").WithDetail("name", name)
}

// change reads, lets edit build the new secrets from what it reads, and
// writes with check-and-set; when somebody else was faster it begins again.
// base is what was there at first, now what is there at this try.
func (s *Service) change(
	ctx context.Context, job Job, doing string, dryRun bool, edit func(base, now document) (object, error),
) (Written, error) {
	base, err := s.read(ctx, job)
	if err != nil {
		return Written{}, err
	}
	now := base
	wait := shortest
	for try := 1; ; try++ {
		secrets, err := edit(base, now)
		if err != nil {
			return Written{}, err
		}
		changed := difference(now.secrets, secrets)
		if len(changed) == 0 || dryRun {
			return Written{Version: now.version, Changed: changed}, nil
		}
		version, err := s.Documents.Write(ctx, job.String(), now.with(job, s.layoutOf(now), secrets), now.version)
		if err == nil {
			return Written{Version: version, Changed: changed}, nil
		}
		if !failure.Is(err, failure.Conflict) {
			return Written{}, failure.Annotate(err, "%s", doing)
		}
		if try == tries {
			return Written{}, failure.Wrap(failure.Conflict, err, "%s: others wrote first, %d times in a row", doing, tries)
		}
		if err := s.Pause(ctx, wait); err != nil {
			return Written{}, failure.Annotate(err, "%s", doing)
		}
		wait = min(2*wait, longest)
		if now, err = s.read(ctx, job); err != nil {
			return Written{}, err
		}
	}
}

func (s *Service) layoutOf(d document) Layout {
	if d.layout != "" {
		return d.layout
	}
	return s.Layout
}

// difference are the names with another value, sorted.
func difference(before, after object) []string {
	old, values := before.values(), after.values()
	changed := []string{}
	for key, value := range values {
		if was, had := old[key]; !had || !equal(was, value) {
			changed = append(changed, key)
		}
	}
	for key := range old {
		if _, has := values[key]; !has {
			changed = append(changed, key)
		}
	}
	slices.Sort(changed)
	return changed
}

// Team returns the names of the secrets of every job of a team, by job. Folders
// below the team and the reserved name are no jobs. Jobs are read one after
// the other, so that a large team is no storm of requests.
func (s *Service) Team(ctx context.Context, team string) (map[string][]string, error) {
	if err := checkTeam(team); err != nil {
		return nil, err
	}
	names, err := s.Documents.List(ctx, team)
	if err != nil {
		return nil, err
	}
	all := map[string][]string{}
	for _, name := range names {
		if strings.HasSuffix(name, "/") || name == reserved {
			continue
		}
		l, err := s.List(ctx, Job{Team: team, Name: name})
		if err != nil {
			return nil, failure.Annotate(err, "list secrets of team %s", team)
		}
		all[name] = l.Names()
	}
	return all, nil
}
