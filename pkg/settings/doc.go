// Package settings knows every setting of valetkey and where its value comes
// from. One table (see [Rows]) holds names, flags, environment variables,
// defaults and help; flags, the check of the config file, `config list` and the
// reference pages are all made from it.
//
// Precedence: flag, VALETKEY_ variable, the variables people have already
// (aliases, in order), the profile of the config file, the default. Every
// [Value] carries its source, and every error about a value names it.
//
// The package never reads the environment of the process: it is handed in as a
// map. The config file is read once, when the first setting is looked up that
// neither a flag nor a variable gives. A config file in the working directory
// is never looked for; only VALETKEY_CONFIG can name one there.
//
// Errors are failure.Usage for a bad value in a flag and for unknown names that
// a person typed, failure.Config for everything else.
package settings
