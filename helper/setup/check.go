package setup

import (
	"github.com/terradue/t2-cred/helper/hint"
	"github.com/terradue/t2-cred/helper/safefile"
)

// A Finding is why a tool may not do what setup told it.
type Finding struct {
	Tool   string
	File   string
	Detail string
	Remedy hint.Remedy // nil where none is known
}

// Check looks into the files of all tools that have lines of t2-cred for the profile:
// whether the tool can read the file, and whether settings of somebody else win over
// those lines. It changes nothing.
func Check(e Env, p Profile) (found []Finding) {
	for _, tool := range Tools() {
		plan, err := tool.Plan(e, p, Options{Undo: true})
		if err != nil {
			continue // what setup would say when it is asked
		}
		for _, one := range plan.edits {
			for _, f := range one.check() {
				f.Tool, f.File = tool.Name, one.file
				found = append(found, f)
			}
		}
	}
	return found
}

func (e *edit) check() (found []Finding) {
	text, err := safefile.Read(e.file, safefile.Want{Max: maxFile})
	if err != nil {
		return nil // setup wrote nothing there that a tool could read
	}
	rest, _, err := e.cut(string(text))
	if err == nil && rest == string(text) {
		return nil // no lines of ours
	}
	if err == nil {
		_, err = e.read(string(text))
	}
	var says []setting
	if err == nil {
		says, err = e.read(rest)
	}
	if err == nil && e.refuse != nil {
		err = e.refuse(says)
	}
	if err != nil {
		return []Finding{{Detail: err.Error(), Remedy: hint.Of(err)}}
	}
	if e.notice != nil {
		for _, notice := range e.notice(says) {
			found = append(found, Finding{Detail: notice})
		}
	}
	return found
}
