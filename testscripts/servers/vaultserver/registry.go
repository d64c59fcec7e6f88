package vaultserver

import (
	"maps"
	"slices"

	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
)

// registry tells Vault that its engines and logins are built in; without one it
// refuses to mount them.
type registry struct {
	engines, logins map[string]logical.Factory
}

func (r registry) of(kind consts.PluginType) map[string]logical.Factory {
	switch kind {
	case consts.PluginTypeSecrets:
		return r.engines
	case consts.PluginTypeCredential:
		return r.logins
	default:
		return nil
	}
}

// Contains tells whether a plugin is built in.
func (r registry) Contains(name string, kind consts.PluginType) bool {
	return r.of(kind)[name] != nil
}

// Get returns a plugin's factory.
func (r registry) Get(name string, kind consts.PluginType) (func() (any, error), bool) {
	factory := r.of(kind)[name]
	return func() (any, error) { return factory, nil }, factory != nil
}

// Keys lists the plugins of a kind.
func (r registry) Keys(kind consts.PluginType) []string {
	return slices.Sorted(maps.Keys(r.of(kind)))
}

// DeprecationStatus says that every plugin here is supported.
func (r registry) DeprecationStatus(name string, kind consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, r.Contains(name, kind)
}

// IsBuiltinEntPlugin says that no plugin here is of the enterprise edition.
func (r registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }
