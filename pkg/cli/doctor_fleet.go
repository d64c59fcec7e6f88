package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/valetkey/valetkey/pkg/doctor"
	"github.com/valetkey/valetkey/pkg/failure"
	"github.com/valetkey/valetkey/pkg/settings"
	"github.com/valetkey/valetkey/pkg/vault"
)

// checkVaultStore looks at the document that machines share: whether Vault lets
// us at it, whether its policy says enough and not much too much, and what lies
// around it.
func (d *checkup) checkVaultStore(ctx context.Context, s settings.Keys) ([]doctor.Finding, error) {
	identity, err := d.identity()
	if err != nil {
		return nil, nil //nolint:nilerr // without a user at VMS there is no document to look at
	}
	document := d.fleetDocument(identity, s)
	d.fleetTrouble = true // until it is seen to be good
	if address, _, _ := d.address(settings.GroupVault); !address.IsEmpty() && !d.reached(settings.GroupVault) {
		return nil, nil // the check of the address says it
	}
	client, err := document.session(ctx)
	if err != nil {
		if _, auth, _ := d.set.Vault(); failure.Is(err, failure.Auth) && d.canLogIn(auth) {
			return nil, nil // the check of the login says it
		}
		return trouble(doctor.Error, failure.Annotate(err, "the key store vault (%s)", s.Store.Source)), nil
	}
	findings, mayRead := d.checkPolicy(ctx, client, document)
	if !mayRead {
		return findings, nil
	}
	if _, err := document.Read(ctx); err != nil {
		if failure.Is(err, failure.Auth) {
			return nil, nil // the check of the login says it
		}
		return append(findings, trouble(doctor.Error, err)...), nil
	}
	d.fleetTrouble = false
	findings = append(findings, d.checkVersions(ctx, client, document)...)
	return append(findings, d.checkCopy(ctx, s)...), nil
}

// couldShare says whether the keys could lie in Vault.
func (d *checkup) couldShare(ctx context.Context, s settings.Keys) []doctor.Finding {
	identity, err := d.identity()
	address, _, addressErr := d.address(settings.GroupVault)
	switch {
	case err != nil || addressErr != nil:
		return nil
	case address.IsEmpty():
		return one(doctor.Info, "", "vault: not usable: vault.address is not set")
	}
	if _, err := d.fleetDocument(identity, s).Read(ctx); err != nil {
		return one(doctor.Info, failure.HintOf(err), "vault: not usable: %v", err)
	}
	return one(doctor.Info, "", "vault: usable")
}

// checkPolicy compares what the token may do with what is needed. Without an
// answer it finds nothing: the default policy, which lets a token ask, may be
// missing.
func (d *checkup) checkPolicy(ctx context.Context, client *vault.Client, document *fleetDocument) (findings []doctor.Finding, mayRead bool) {
	rules := fleetRules(document.mount.Text(), document.path)
	var paths []string
	for _, r := range rules {
		paths = append(paths, r.path)
	}
	have, err := client.Capabilities(ctx, paths...)
	if err != nil {
		return nil, true
	}
	hint := "this policy is enough: " + strings.ReplaceAll(strings.TrimSpace(fleetPolicy(document.mount.Text(), document.path)), "\n", " ")
	wide := 0
	for i, r := range rules {
		can := have[r.path]
		if slices.Contains(can, "root") || slices.Contains(can, "sudo") {
			wide++
			continue
		}
		lacks := slices.DeleteFunc(slices.Clone(r.may), func(c string) bool { return slices.Contains(can, c) })
		if len(lacks) == 0 {
			continue
		}
		severity := doctor.Warning // the key can be used, and leaves its secret behind
		if i == 0 {
			severity = doctor.Error
		}
		findings = append(findings, one(severity, hint, "the Vault token lacks %s on %s, to %s", strings.Join(lacks, ", "), r.path, r.why)...)
	}
	if wide == len(rules) {
		findings = append(findings, one(doctor.Warning, hint, "the Vault token is far too powerful for the key store: it may do everything to %s", document.where())...)
	}
	return findings, len(findings) == 0 || findings[0].Severity != doctor.Error
}

// checkVersions looks at the versions of the document: the newest must not end
// by itself, and the old ones must be destroyed.
func (d *checkup) checkVersions(ctx context.Context, client *vault.Client, document *fleetDocument) (findings []doctor.Finding) {
	mount := document.mount.Text()
	if doc, err := client.ReadSecret(ctx, mount, document.path); err == nil && !doc.Expires.IsZero() {
		findings = one(doctor.Error, fmt.Sprintf("vault kv metadata put -delete-version-after=0s %s; of the whole mount: vault write %s/config delete_version_after=0s; then valetkey keys rotate",
			document.where(), strings.Trim(mount, "/")),
			"Vault will delete the shared document, and the secret in it, at %s", doc.Expires.UTC().Format(time.RFC3339))
	}
	h, err := client.SecretHistory(ctx, mount, document.path)
	if err != nil {
		return findings // the policy was judged already
	}
	old := undestroyed(h, h.Current)
	if len(old) == 0 {
		return findings
	}
	// Between a write and the clean-up after it there is one, for a moment.
	if newest := h.Versions[len(h.Versions)-1]; len(old) == 1 && d.clock().Sub(newest.Created) < time.Minute {
		return findings
	}
	numbers := strings.Trim(strings.ReplaceAll(fmt.Sprint(old), " ", ","), "[]")
	return append(findings, one(doctor.Warning, fmt.Sprintf("vault kv destroy -versions=%s %s; the next change of a key does it, too", numbers, document.where()),
		"%s of the shared document still there, perhaps with secrets of deleted keys: %s", count(len(old), "old version"), numbers)...)
}

// checkCopy looks at the store that answers while Vault is not asked.
func (d *checkup) checkCopy(ctx context.Context, s settings.Keys) []doctor.Finding {
	locked, err := d.tryStore(ctx, s.TokensStore)
	switch {
	case err != nil:
		return trouble(doctor.Warning, failure.Annotate(err, "there is no copy of the key on this machine (tokens.store, %s), so that Vault is asked each time", s.TokensStore.Source))
	case locked:
		return one(doctor.Info, "VALETKEY_STORE_IDENTITY names an age identity file that opens the store without one",
			"the store %s, which holds the copy of the key, wants a passphrase", s.TokensStore.Text())
	}
	return nil
}
