#!/bin/sh
# A key in the keyring of a desktop: run on the sandbox, inside dbus-run-session,
# with VALETKEY_STORE=os. The first argument is valetkey, the second what to play.
set -eu
valetkey=$1

unlock() { printf 'a password' | gnome-keyring-daemon --unlock --components=secrets >/dev/null; }

# refused COMMAND...: exit 9, nothing on stdout, the reason on stderr.
refused() {
	code=0
	"$@" >out 2>err || code=$?
	cat err
	[ "$code" = 9 ] || { echo "exit $code, want 9"; exit 1; }
	[ ! -s out ] || { echo 'stdout is not empty'; exit 1; }
}

cd "$HOME"
case $2 in
stores)
	unlock
	"$valetkey" credential-process >first
	"$valetkey" credential-process >second # a new process finds it
	for file in first second; do sed 's/"Expiration":"[^"]*"//' <"$file" >"$file.key"; done
	cmp first.key second.key
	[ "$(grep -c '"POST"' "$VALETKEY_SANDBOX_DIR/requests.jsonl")" = 1 ]
	[ -z "$(ls -A "$VALETKEY_STORE_DIR" 2>/dev/null)" ] # nothing went into the file store
	key=$("$valetkey" keys list -o json --jq '.[0].access_key')
	"$valetkey" keys delete "$key" --yes
	;;
locked)
	unlock
	"$valetkey" credential-process >/dev/null
	dbus-send --session --print-reply --dest=org.freedesktop.secrets /org/freedesktop/secrets \
		org.freedesktop.Secret.Service.Lock array:objpath:/org/freedesktop/secrets/collection/login >/dev/null
	refused "$valetkey" credential-process
	;;
absent)
	export DBUS_SESSION_BUS_ADDRESS="unix:path=$HOME/no-such-bus"
	refused "$valetkey" keys create
	! grep '"POST"' "$VALETKEY_SANDBOX_DIR/requests.jsonl" # nothing was issued
	;;
*)
	echo "unknown play $2"
	exit 2
	;;
esac
echo ok
