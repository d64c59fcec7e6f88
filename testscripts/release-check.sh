#!/bin/bash
# `make release-check`: the release file is valid, a snapshot of it builds, its
# archives and packages hold what they should, and the .deb works in an empty root.
set -euo pipefail
cd "$(dirname "$0")/.."

goreleaser=bin/goreleaser
"$goreleaser" check
"$goreleaser" release --snapshot --clean --skip=publish

fail() { echo "release-check: $*" >&2; exit 1; }

for target in linux_amd64 linux_arm64 darwin_amd64 darwin_arm64 windows_amd64 windows_arm64; do
	archive=$(compgen -G "dist/valetkey_*_$target.*" | grep -E '\.(tar\.gz|zip)$') || fail "no archive for $target"
	case $archive in
	*.zip) names=$(python3 -m zipfile -l "$archive") ;;
	*) names=$(tar -tzf "$archive") ;;
	esac
	for part in LICENSE README.md man/valetkey.1 completions/ /valetkey; do
		grep -q "$part" <<<"$names" || fail "$archive has no $part"
	done
done
(cd dist && sha256sum --quiet --check checksums.txt)

deb=$(compgen -G 'dist/valetkey_*_linux_amd64.deb') || fail 'no .deb'
[[ -n $(compgen -G 'dist/valetkey_*_linux_amd64.rpm') ]] || fail 'no .rpm'
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
touch "$root/var/lib/dpkg/status"
if [[ $(id -u) = 0 ]]; then
	dpkg --root="$root" --force-not-root --force-depends --install "$deb"
	dpkg --root="$root" --status valetkey | grep -q '^Status: install ok installed' || fail 'the .deb is not installed'
else
	dpkg --extract "$deb" "$root" # installing as such wants root
fi
env -i "$root/usr/bin/valetkey" version
for file in man/man1/valetkey.1 bash-completion/completions/valetkey zsh/vendor-completions/_valetkey \
	fish/vendor_completions.d/valetkey.fish doc/valetkey/copyright; do
	[[ -s $root/usr/share/$file || -s $root/usr/share/$file.gz ]] || fail "the .deb has no usr/share/$file"
done

# The same commit built again gives the same bytes.
sums=$(grep linux_amd64.tar.gz dist/checksums.txt)
"$goreleaser" build --snapshot --clean --single-target --output "$root/again" >/dev/null
cmp "$root/again" "$root/usr/bin/valetkey" || fail 'a second build gives other bytes'
echo "release-check: ok ($sums)"
