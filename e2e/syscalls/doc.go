// Package syscalls runs a program under a supervisor that sees chosen system calls
// before the kernel does them: it lists them, fails the n-th, kills the program at
// the n-th, or stops the program there for a while.
//
// It uses seccomp user notification (seccomp_unotify(2)), so it needs no cgo, no
// ptrace and no privileges of the program. Calls of all threads and of all child
// processes are counted together. A call is known by its name, the object that it
// works on (a path, an address, a key) and how often the pair came before.
//
// The supervisor reads the program's memory. A program that hides it
// (PR_SET_DUMPABLE) can be supervised by root only; the program itself then runs as
// an ordinary user. See [Tracer].
package syscalls
