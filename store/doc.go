// Package store keeps secrets at rest: one record per account, and the client
// secret of each profile.
//
// A [Backend] is where bytes lie (the OS keyring, encrypted files, memory) and
// has no policy of its own. Policy is [Store]'s: every change of a record goes
// through [Store.Update], which locks, reloads, lets the caller make the new
// record, saves it, reads it back, and only then returns. A refresh token that
// is spent twice is a grant lost for good, so the lock is held around the
// network call that spends it, not around the write alone.
//
// Between spending a refresh token and storing its successor a grant hangs by a
// thread. On Linux the new record is therefore put into the kernel's keyring of
// this user before it is stored and removed from there after; where storing fails
// it stays there or, on other systems, in a file, until the next Load or Update
// puts it in its place (see [Store.Update]).
//
// A record has three homes, by what its parts need:
//
//   - the backend's item: the grant (refresh token, subject, scopes), about 1 kB,
//     written only when it changed;
//   - the cache: the current access token, in memory of the Linux kernel where
//     that works (its own timeout, nothing on disk), else an item of its own;
//   - the notes: what is not secret (who, since when, which grant), one small
//     file an account in the state directory, so that listing needs no unlocked
//     keyring and reading the cache needs no D-Bus. Notes are never the truth:
//     where they disagree with the item they are made anew.
//
// All names at rest carry the namespace of one configuration (its file and its
// state directory), so two homes of one user never meet.
package store
