#!/usr/bin/env bash
# Installs edgevid on a Jetson with JetPack 6.1, 6.2 or 7.x, beside NVIDIA's packages and never
# over them: TensorRT and OpenCV stay those of JetPack, and pip may not bring others.
#
#   sudo jetson/install.sh --dry-run    shows every step, changes nothing
#   sudo jetson/install.sh              installs below /opt/edgevid
#
# All or nothing: a new virtual environment is made beside the old one, examined and tried, and
# only then takes its place (PREFIX/venv is a link). Not yet run on a Jetson.
set -euo pipefail
umask 022 # the service's user must be able to read what root installs
export PYTHONNOUSERSITE=1 # what lies in a home is not there for others

PREFIX=/opt/edgevid
ROOT=
DRY_RUN=no
WANT_TENSORRT=yes
EXTRAS=convert,metrics
PACKAGE=
FREE_KB=$((1024 * 1024))

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
  cat <<'USAGE'
usage: install.sh [--dry-run] [--prefix DIR] [--without-tensorrt] [--package SPEC] [--root DIR]

  --dry-run           show every step, change nothing
  --prefix DIR        where to install; the command is DIR/venv/bin/edgevid  [/opt/edgevid]
  --without-tensorrt  install although TensorRT is not there: models run on the CPU
  --package SPEC      what to install: a wheel, a folder, or a name for pip  [the folder above]
  --root DIR          take DIR for the board's file system, and install below it (for tests);
                      EDGEVID_PYTHON then names the Python to use
USAGE
}

die() {
  printf 'install.sh: error: %s\n' "$1" >&2
  exit "${2:-2}"
}

say() {
  printf '%s\n' "$*"
}

# Shows a command, and runs it unless this is a dry run.
run() {
  printf '+'
  printf ' %q' "$@"
  printf '\n'
  [[ $DRY_RUN == yes ]] || "$@"
}

parse_arguments() {
  while (($#)); do
    case $1 in
      --dry-run) DRY_RUN=yes ;;
      --without-tensorrt) WANT_TENSORRT=no ;;
      --prefix | --package | --root)
        [[ -n ${2:-} ]] || die "$1 needs a value"
        case $1 in
          --prefix) PREFIX=$2 ;;
          --package) PACKAGE=$2 ;;
          --root) ROOT=$(cd "$2" 2>/dev/null && pwd) || die "no such folder: $2" ;;
        esac
        shift
        ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) die "unknown option $1 (see --help)" ;;
    esac
    shift
  done
  [[ $PREFIX == /* ]] || PREFIX=$PWD/$PREFIX
  PREFIX=$ROOT$PREFIX
}

# Version of an installed Debian package; nothing where it is not installed.
package_version() {
  local status=$ROOT/var/lib/dpkg/status
  [[ -r $status ]] || return 0
  awk -v name="$1" '
    /^Package: /   { here = ($2 == name); installed = 0 }
    here && /^Status: .* installed$/ { installed = 1 }
    here && installed && /^Version: / { print $2; exit }
  ' "$status"
}

# L4T, such as 36.4.3: from NVIDIA's release file, else from the package that brings it.
find_l4t() {
  local file=$ROOT/etc/nv_tegra_release pattern='R([0-9]+) \(release\), REVISION: ([0-9.]+)'
  if [[ -r $file && $(head -n 1 "$file") =~ $pattern ]]; then
    L4T=${BASH_REMATCH[1]}.${BASH_REMATCH[2]}
    return
  fi
  [[ ! -e $file ]] || die "/etc/nv_tegra_release names no release: $(head -n 1 "$file")"
  L4T=$(package_version nvidia-l4t-core)
  L4T=${L4T%%-*}
  [[ -n $L4T ]] || die "this is no Jetson (neither /etc/nv_tegra_release nor nvidia-l4t-core); \
on a PC: pip install edgevid"
}

find_jetpack() {
  find_l4t
  case $L4T in
    36.4.0 | 36.4) JETPACK=6.1 ;;
    36.4.* | 36.5 | 36.5.*) JETPACK=6.2 ;;
    38.* | 39.*) JETPACK=7 ;;
    36.*) die "L4T $L4T is JetPack 6.0, whose TensorRT is too old; flash JetPack 6.1 or newer" ;;
    3[0-5].* | [12]?.*) die "L4T $L4T is older than JetPack 6; flash JetPack 6.1 or newer" ;;
    *) die "L4T $L4T is not known to this script; get a newer edgevid" ;;
  esac
  local exact
  exact=$(package_version nvidia-jetpack)
  exact=${exact%%[+-]*}
  say "JetPack ${exact:-$JETPACK} (L4T $L4T)"
}

# The system's Python, which NVIDIA's modules are built for, and what a venv needs of it.
find_python() {
  local link
  link=$(readlink "$ROOT/usr/bin/python3") ||
    die "/usr/bin/python3 is missing: sudo apt install python3"
  PYTHON_NAME=${link##*/}
  local minor=${PYTHON_NAME#python3.}
  [[ $minor =~ ^[0-9]+$ ]] || die "/usr/bin/python3 leads to $link, which is no Python 3"
  ((minor >= 10)) || die "/usr/bin/python3 is Python 3.$minor; edgevid needs 3.10 or newer"
  [[ -d $ROOT/usr/lib/$PYTHON_NAME/ensurepip ]] ||
    die "virtual environments cannot be made: sudo apt install $PYTHON_NAME-venv"
  SITE=$ROOT/usr/lib/python3/dist-packages
  VERSIONED_SITE=$ROOT/usr/lib/$PYTHON_NAME/dist-packages
  PYTHON=/usr/bin/python3
  [[ -z $ROOT ]] || PYTHON=${EDGEVID_PYTHON:-python3}
  say "Python 3.$minor"
}

# A module that the system's Python has; the folder that holds it.
system_module() {
  local site
  for site in "$VERSIONED_SITE" "$SITE"; do
    if [[ -e $site/$1/__init__.py ]] || compgen -G "$site/$1.*.so" >/dev/null; then
      printf '%s\n' "$site"
      return
    fi
  done
  return 1
}

find_tensorrt() {
  local site name
  TENSORRT=
  if site=$(system_module tensorrt); then
    name=$(compgen -G "$site/tensorrt-*.dist-info" || true)
    name=${name##*/tensorrt-}
    TENSORRT=${name%.dist-info}
    [[ -n $TENSORRT ]] ||
      die "${site#"$ROOT"}/tensorrt does not say its version: \
sudo apt install --reinstall python3-libnvinfer"
    say "TensorRT $TENSORRT of JetPack"
  elif [[ $WANT_TENSORRT == yes ]]; then
    die "TensorRT's Python module is not installed: sudo apt install nvidia-jetpack, and \
python3-libnvinfer if it is still missing; or --without-tensorrt for the CPU alone"
  else
    say "TensorRT is not there: models will run on the CPU"
  fi
  [[ $WANT_TENSORRT == yes ]] || TENSORRT=
  if [[ -n $TENSORRT && $JETPACK == 6.* ]] &&
    ! compgen -G "$ROOT/usr/lib/aarch64-linux-gnu/*/libnvdla_compiler.so" >/dev/null; then
    die "TensorRT needs libnvdla_compiler.so, also on boards without a DLA: \
sudo apt install nvidia-l4t-dla-compiler"
  fi
  [[ -z $TENSORRT ]] || EXTRAS=$EXTRAS,cuda
}

find_opencv() {
  OPENCV=pip
  NUMPY_LIMIT=
  system_module cv2 >/dev/null || {
    say "OpenCV will come from PyPI: the system has none for Python"
    return
  }
  OPENCV=system
  # It was built for the system's NumPy: one of the next major version breaks its import.
  local numpy
  numpy=$(package_version python3-numpy)
  numpy=${numpy#*:}
  numpy=${numpy%%.*}
  NUMPY_LIMIT=$((${numpy:-1} + 1))
  say "OpenCV of the system, built for NumPy below $NUMPY_LIMIT"
}

# The driver of a Jetson comes with its CUDA: bindings of a newer major version need a newer driver.
find_cuda() {
  local file=$ROOT/usr/local/cuda/version.json pattern='"cuda"[^}]*"version" *: *"([0-9]+)' version
  if [[ -r $file && $(tr -d '\n' <"$file") =~ $pattern ]]; then
    version=${BASH_REMATCH[1]}
  else
    [[ $JETPACK == 6.* ]] && version=12 || version=13
  fi
  CUDA_LIMIT=$((version + 1))
}

look_for_gstreamer() {
  [[ -x $ROOT/usr/bin/gst-launch-1.0 ]] || say "Without GStreamer's tools, CSI cameras and hardware \
decoding do not work: sudo apt install gstreamer1.0-tools gstreamer1.0-plugins-good \
gstreamer1.0-plugins-bad gstreamer1.0-libav"
}

find_package() {
  PACKAGE=${PACKAGE:-${HERE%/*}}
  if [[ $PACKAGE == */* || $PACKAGE == *.whl ]]; then
    [[ -e $PACKAGE ]] || die "no such file or folder: $PACKAGE"
    PACKAGE=$(realpath "$PACKAGE")
    [[ ! -d $PACKAGE || -f $PACKAGE/pyproject.toml ]] ||
      die "$PACKAGE is not edgevid's folder; name a wheel or a folder with --package"
  fi
}

check_place() {
  local place=$PREFIX
  while [[ ! -e $place ]]; do place=$(dirname "$place"); done
  [[ -d $place ]] || die "$place is no folder"
  [[ ! -e $PREFIX/venv || -L $PREFIX/venv ]] ||
    die "$PREFIX/venv is not a link that this script made; move it away"
  [[ $DRY_RUN == yes || -w $place ]] ||
    die "may not write to $place: use sudo, or --prefix with a folder of yours"
  local free
  free=$(df -Pk "$place" | awk 'NR == 2 { print $4 }')
  ((free >= FREE_KB)) || die "$place has $((free / 1024)) MiB free; $((FREE_KB / 1024)) are needed"
}

constraints() {
  say "cuda-python<$CUDA_LIMIT"
  [[ -z $NUMPY_LIMIT ]] || say "numpy<$NUMPY_LIMIT"
  [[ -z $TENSORRT ]] || say "tensorrt==$TENSORRT"
}

# What the installed edgevid needs, one requirement a line; OpenCV only where JetPack's is not there.
requirements() {
  "$NEW/bin/python" - "$EXTRAS" "$OPENCV" <<'PYTHON'
import sys
from importlib.metadata import requires

from pip._vendor.packaging.requirements import Requirement

extras, opencv = sys.argv[1].split(","), sys.argv[2]
for text in requires("edgevid") or ():
    need = Requirement(text)
    if need.name == "edgevid" or (need.name.startswith("opencv") and opencv == "system"):
        continue
    if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in ("", *extras)):
        need.marker = None
        print(need)
PYTHON
}

undo() {
  [[ -z ${NEW:-} || ! -d $NEW ]] || rm -rf "$NEW"
  [[ -e $PREFIX/venv ]] || rm -rf "$PREFIX/.lock"
  rmdir "$PREFIX" 2>/dev/null || true
}

# A new folder for the environment, under a lock; it goes again if anything fails.
make_room() {
  NEW=$PREFIX/venv-$(date -u +%Y%m%d-%H%M%S)-$$
  if [[ $DRY_RUN == yes ]]; then return; fi
  mkdir -p "$PREFIX"
  exec 9>"$PREFIX/.lock"
  flock -n 9 || die "another install.sh works below $PREFIX"
  trap undo EXIT
  remove_leftovers
}

# Environments that the link does not lead to: of runs that were cut off, or from before the last
# update, which a service may have used until it was restarted.
remove_leftovers() {
  local folder
  OLD=$(readlink "$PREFIX/venv" || true)
  for folder in "$PREFIX"/venv-*; do
    [[ ! -d $folder || ${folder##*/} == "$OLD" ]] || rm -rf "$folder"
  done
}

make_environment() {
  local flags=()
  [[ -z $TENSORRT && $OPENCV == pip ]] || flags=(--system-site-packages)
  run "$PYTHON" -m venv ${flags[@]+"${flags[@]}"} "$NEW"
  say "constraints: $(constraints | tr '\n' ' ')"
  [[ $DRY_RUN == yes ]] || constraints >"$NEW/constraints.txt"
}

# Building leaves files beside the source: they shall not lie in the user's folder.
copy_source() {
  local parts=(pyproject.toml README.md LICENSE edgevid convert benchmarks)
  mkdir -p "$NEW/source"
  tar -C "$PACKAGE" -cf - "${parts[@]}" | tar -C "$NEW/source" -xf -
}

install_packages() {
  local pip=("$NEW/bin/python" -m pip install --disable-pip-version-check --no-input)
  local package=$PACKAGE
  if [[ -d $PACKAGE ]]; then
    package=$NEW/source
    [[ $DRY_RUN == yes ]] || copy_source
  fi
  run "${pip[@]}" --no-deps "$package"
  rm -rf "$NEW/source"
  [[ $DRY_RUN == yes ]] || requirements >"$NEW/requirements.txt"
  [[ $OPENCV == pip ]] || say "(pip may say that opencv-python is missing: the system's stands in)"
  run "${pip[@]}" --constraint "$NEW/constraints.txt" --requirement "$NEW/requirements.txt"
}

# pip obeyed: nothing in the new environment stands before a package of JetPack's.
check_untouched() {
  local names=() name
  [[ $OPENCV == pip ]] || names+=(cv2)
  [[ -z $TENSORRT ]] || names+=(tensorrt)
  say "check that the environment has no ${names[*]:-package} of its own in place of JetPack's"
  [[ $DRY_RUN == no ]] || return 0
  for name in ${names[@]+"${names[@]}"}; do
    if compgen -G "$NEW/lib/python3*/site-packages/$name*" >/dev/null; then
      die "pip installed $name over JetPack's, which must not be" 1
    fi
  done
}

try_it() {
  local engine=onnxruntime
  [[ -z $TENSORRT ]] || engine=tensorrt
  run "$NEW/bin/edgevid" doctor || die "edgevid cannot run here; nothing was installed" 1
  run "$NEW/bin/python" "$HERE/smoke_test.py" --engine "$engine" ||
    die "the smoke test failed; nothing was installed" 1
}

# The link moves in one step: a service finds the old environment or the new one.
put_in_place() {
  run ln -s "${NEW##*/}" "$PREFIX/venv.new"
  run mv -T "$PREFIX/venv.new" "$PREFIX/venv"
  trap - EXIT
}

main() {
  parse_arguments "$@"
  find_jetpack
  find_python
  find_tensorrt
  find_opencv
  find_cuda
  look_for_gstreamer
  find_package
  check_place
  cd / # Python looks for modules in the working directory first: not in a source tree
  make_room
  make_environment
  install_packages
  check_untouched
  try_it
  put_in_place
  [[ $DRY_RUN == no ]] || { say "Nothing was changed (--dry-run)."; return; }
  say "Installed: $PREFIX/venv/bin/edgevid"
  [[ -z $OLD ]] || say "A service that runs keeps to the old one until: systemctl restart edgevid"
  say "From boot on: sudo $PREFIX/venv/bin/edgevid service install (docs/jetson.md)"
}

main "$@"
