package store

import (
	"crypto/rand"
	"path/filepath"

	"github.com/terradue/t2-cred/helper/safefile"
)

// findOwner names this state directory in this run of the machine. Two processes of one
// owner exclude each other by the locks there, so that one of them may go on at once with
// a claim that a dead one left. A copy of the directory, in another container or on another
// machine, is another owner: it has another inode or another run.
func (s *Store) findOwner() string {
	path := filepath.Join(s.locks.dir, "owner")
	_ = safefile.MakeDir(s.locks.dir)
	_ = safefile.Create(path, []byte(rand.Text())) // unless there is one
	text, err := safefile.Read(path, safefile.Want{Max: 64, NoLink: true, Trust: safefile.Ours})
	id := fileID(path, s.bootID())
	if err != nil || len(text) == 0 || id == "" {
		return ""
	}
	return shortHash("t2-cred owner", string(text), id)
}
