package syscalls

import "golang.org/x/sys/unix"

// auditArch is AUDIT_ARCH_AARCH64, which the filter compares.
const auditArch = unix.AUDIT_ARCH_AARCH64
