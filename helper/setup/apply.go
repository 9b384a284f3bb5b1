package setup

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/terradue/t2-cred/helper/hint"
)

// A Report is the result of a change, in lines for a person.
type Report struct {
	Done     []string
	Warnings []string
	Next     string // what is left to do, or empty
}

func (r *Report) say(format string, args ...any) {
	r.Done = append(r.Done, fmt.Sprintf(format, args...))
}

// Write makes the change. It checks all files before it changes one. Links come before
// the files that need them. The report is complete with an error, too.
func (t Tool) Write(e Env, p Plan) (r Report, err error) {
	changes, err := p.changes(false, "mend it, or do by hand what t2-cred setup "+t.Name+" shows")
	if err != nil {
		return r, err
	}
	for _, l := range p.links {
		if err := checkLink(l, e.Program); err != nil {
			return r, err
		}
		if link := (&change{path: l}); !isThere(l) && link.mayReplace() != nil {
			return r, configError(fmt.Sprintf("%s: its directory belongs to another user", l), "run setup as that user, or name another directory on PATH: --bin-dir DIR")
		}
	}
	for _, l := range p.links {
		if err := makeLink(l, e.Program); err != nil {
			return r, err
		}
	}
	for _, c := range changes {
		changed, err := c.save()
		switch {
		case err != nil:
			return r, c.failed(err, "do by hand what t2-cred setup "+t.Name+" shows")
		case changed && c.quiet:
			r.say("%s: what t2-cred wrote there before is taken out", c.file)
		case changed:
			r.say("%s tells the tool to ask t2-cred", c.file)
		case c.quiet:
		default:
			r.say("%s says so already", c.file)
		}
	}
	for _, c := range changes {
		r.Warnings = append(r.Warnings, c.notices...)
	}
	for _, l := range p.links {
		if w := e.pathWarning(l); w != "" {
			r.Warnings = append(r.Warnings, w)
		}
	}
	r.Warnings = append(r.Warnings, p.warnings...)
	r.Next = p.show
	return r, nil
}

// Undo takes the change back. Links go after the files that need them.
func (t Tool) Undo(e Env, p Plan) (r Report, err error) {
	changes, err := p.changes(true, "mend it, or take out by hand what names t2-cred")
	if err != nil {
		return r, err
	}
	used := false
	for _, c := range changes {
		changed, err := c.save()
		switch {
		case err != nil:
			return r, c.failed(err, "take it out by hand, between the comments of t2-cred")
		case changed:
			r.say("%s is as it was without t2-cred", c.file)
		case c.quiet:
		default:
			r.say("%s has nothing that t2-cred wrote for this; it was left as it is", c.file)
		}
		used = used || p.used != nil && p.used(c.text)
	}
	for _, l := range p.links {
		if target, err := os.Readlink(l); used || err != nil || filepath.ToSlash(target) != e.Program {
			continue // wanted yet, or not ours
		}
		if err := os.Remove(l); err != nil {
			return r, err
		}
		r.say("removed the link %s", l)
	}
	return r, nil
}

// changes are the changes of all files, not yet written.
func (p Plan) changes(undo bool, remedy string) (all []*change, err error) {
	for _, e := range p.edits {
		c, err := e.plan(undo)
		if err != nil {
			detail := fmt.Sprintf("%s: %v; it was left as it is", e.file, err)
			if own := hint.Of(err); own != nil {
				return nil, configRemedy(detail, own...)
			}
			return nil, configError(detail, remedy)
		}
		all = append(all, c)
	}
	return all, nil
}
