// Package store keeps secrets at rest: one record per account, and the client
// secret of each profile.
//
// A [Backend] is where bytes lie (the OS keyring, encrypted files) and has no policy
// of its own. Policy is Store's. Every change of a record takes the account's lock,
// reloads the record, saves the new one, and reads it back.
//
// [Store.Refresh] is the way of a refresh token. A token that is spent twice is a grant
// that is lost, so the lock is held around the request that spends it. Room for the new
// record is made before anything is sent: a copy beside the item. The copy's first line
// then marks the token as being spent, and the copy takes the new record, sealed, before
// the item is saved. Only an outcome removes the copy. What a killed process left is settled
// by the next one (look.go). No copy is in clear. The access token is verified while the item
// is saved.
//
// A record has three homes, by what its parts need:
//
//   - the backend's item has the grant (refresh token, subject, scopes), about 1 kB. It is
//     written only when it changed.
//   - the cache has the current access token. With the OS keyring that is the memory of the
//     Linux kernel, with a timeout of its own; where that does not work, it is an item.
//   - the notes have what is not secret (who, since when, which grant), one small file an
//     account in the state directory. Listing needs no unlocked keyring because of them, and
//     reading the cache needs no D-Bus. Where a note disagrees with the item, it is rebuilt.
//
// All names at rest carry the namespace of one configuration (its file and its state
// directory), so that two homes of one user never meet.
package store
