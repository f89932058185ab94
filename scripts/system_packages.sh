#!/usr/bin/env bash
# The system packages that a napari window and a virtual screen need, beyond Python.
# As root on Debian or Ubuntu: installs those that are missing. Otherwise: prints the one line to run.
set -euo pipefail

# package | what it is for
packages='xvfb|a virtual screen, for tests and for pictures of the window where there is no screen
xauth|lets xvfb-run hand out the virtual screen
libgl1|OpenGL, which draws the canvas
libegl1|OpenGL without X, loaded by Qt
libglib2.0-0|loaded by Qt
libfontconfig1|fonts
libdbus-1-3|loaded by Qt
libxkbcommon-x11-0|keyboard
libxcb-cursor0|Qt on X11: mouse cursor
libxcb-icccm4|Qt on X11: window manager hints
libxcb-keysyms1|Qt on X11: keyboard
libxcb-shape0|Qt on X11: window shapes
libxcb-xkb1|Qt on X11: keyboard layouts
fonts-dejavu-core|a font, where the machine has none'

[ "$(uname -s)" = Linux ] || exit 0   # macOS and Windows bring all of this along

if ! command -v dpkg-query >/dev/null; then
  echo "This is not Debian or Ubuntu: please install the counterparts of these packages for windows to open:"
  sed 's/|/ - /; s/^/  /' <<<"$packages"
  exit 0
fi

installed() {
  # Newer releases renamed some packages with a t64 suffix.
  local status
  status=$(dpkg-query -W -f '${Status}\n' "$1" "${1}t64" 2>/dev/null || true)
  grep -q '^install ok installed' <<<"$status"
}

missing=()
while IFS='|' read -r name _; do
  installed "$name" || missing+=("$name")
done <<<"$packages"
if ! "${PYTHON:-python3}" -c 'import ensurepip' 2>/dev/null; then
  missing+=(python3-venv)
  packages+=$'\npython3-venv|virtual environments'
fi
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ]; then
  echo "Installing system packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  exit 0
fi

echo "Some system packages for windows are missing. Ask an administrator to run this one line:"
echo "  sudo apt-get install --no-install-recommends ${missing[*]}"
for name in "${missing[@]}"; do
  grep "^$name|" <<<"$packages" | sed 's/|/ - /; s/^/    /'
done
echo "Going on without them: windows may not open, pictures are written all the same."
