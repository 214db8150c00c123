# SPDX-License-Identifier: BSD-3-Clause
# shellcheck shell=bash
#
# All of the modules, in the order in which they need each other.

_lib=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=scripts/lib/common.sh
. "$_lib/common.sh"
# shellcheck source=scripts/lib/packages.sh
. "$_lib/packages.sh"
# shellcheck source=scripts/lib/kernel.sh
. "$_lib/kernel.sh"
# shellcheck source=scripts/lib/userland.sh
. "$_lib/userland.sh"
# shellcheck source=scripts/lib/guest.sh
. "$_lib/guest.sh"
# shellcheck source=scripts/lib/lab.sh
. "$_lib/lab.sh"
# shellcheck source=scripts/lib/rig.sh
. "$_lib/rig.sh"
# shellcheck source=scripts/lib/build.sh
. "$_lib/build.sh"
# shellcheck source=scripts/lib/suite.sh
. "$_lib/suite.sh"
