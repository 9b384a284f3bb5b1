package cli

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A collector finds the messages of one package's errors in its source. Many are made by
// a function of the package, or of one function, that takes a format and its values: a
// maker. A call of one is read as the maker's own body with the call's arguments in it.
type collector struct {
	makers  []*maker
	types   map[string]*ast.FuncType // named types of functions
	bodies  map[ast.Node]bool        // of makers: they are read where they are called
	found   []message
	unknown []string
}

// A maker is a function whose last parameters are a format and its values.
type maker struct {
	name   string
	params []string
	body   *ast.BlockStmt
	within *ast.FuncDecl // the function that it is a variable of; nil for one of the package
	called bool
}

// makesFormatted are the names of a function's parameters, if the last two are a format
// and its values, and it returns an error or a finding of doctor.
func makesFormatted(of *ast.FuncType) (params []string, ok bool) {
	var kinds []ast.Expr
	for _, field := range of.Params.List {
		names := field.Names
		if len(names) == 0 {
			names = []*ast.Ident{ast.NewIdent("_")}
		}
		for _, n := range names {
			params, kinds = append(params, n.Name), append(kinds, field.Type)
		}
	}
	n := len(params)
	if n < 2 || of.Results == nil || lastName(kinds[n-2]) != "string" || !slices.ContainsFunc(of.Results.List, isMessage) {
		return nil, false
	}
	values, ok := kinds[n-1].(*ast.Ellipsis)
	return params, ok && (lastName(values.Elt) == "any" || lastName(values.Elt) == "")
}

func isMessage(result *ast.Field) bool {
	of := result.Type
	if pointer, ok := of.(*ast.StarExpr); ok {
		of = pointer.X
	}
	return slices.Contains([]string{"error", "Error", "finding"}, lastName(of)) || strings.HasSuffix(lastName(of), "Error")
}

// collect are the messages of each package, and what was not understood.
func collect(files map[string]*ast.File) (byPackage map[string][]message, unknown []string) {
	packages := map[string]map[string]*ast.File{}
	for path, file := range files {
		dir := filepath.ToSlash(filepath.Dir(path))
		if packages[dir] == nil {
			packages[dir] = map[string]*ast.File{}
		}
		packages[dir][path] = file
	}
	byPackage = map[string][]message{}
	for dir, files := range packages {
		c := &collector{bodies: map[ast.Node]bool{}, types: map[string]*ast.FuncType{}}
		for _, file := range files {
			c.findMakers(file)
		}
		for _, file := range files {
			c.readFile(file)
		}
		for _, m := range c.makers {
			if !m.called && !isRoot(m.name) {
				c.unknown = append(c.unknown, fmt.Sprintf("%s makes messages, and no call of it was found", m.name))
			}
		}
		for _, why := range c.unknown {
			unknown = append(unknown, dir+": "+why)
		}
		byPackage[dir] = c.found
	}
	return byPackage, unknown
}

// isRoot reports whether a maker is known to reading by its name: other packages call it.
func isRoot(name string) bool { return name == "configErrorf" || name == "Errorf" }

func (c *collector) findMakers(file *ast.File) {
	var within *ast.FuncDecl
	add := func(name string, of *ast.FuncType, body *ast.BlockStmt, in *ast.FuncDecl) {
		if params, ok := makesFormatted(of); ok {
			c.makers = append(c.makers, &maker{name: name, params: params, body: body, within: in})
			c.bodies[body] = true
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.TypeSpec:
			if of, ok := n.Type.(*ast.FuncType); ok {
				c.types[n.Name.Name] = of
			}
		case *ast.FuncDecl:
			within = n
			if n.Body != nil {
				add(n.Name.Name, n.Type, n.Body, nil)
			}
		case *ast.AssignStmt:
			for i, right := range n.Rhs {
				if made, ok := right.(*ast.FuncLit); ok && i < len(n.Lhs) {
					add(lastName(n.Lhs[i]), made.Type, made.Body, within)
				}
			}
		case *ast.FuncLit: // in an argument, or a field: nothing names it
			if _, ok := makesFormatted(n.Type); ok && !c.bodies[n.Body] {
				c.unknown = append(c.unknown, "a function without a name makes messages, in "+within.Name.Name)
			}
		}
		return true
	})
}

func (c *collector) readFile(file *ast.File) {
	for _, d := range file.Decls {
		f, _ := d.(*ast.FuncDecl)
		c.read(d, reader{}, f)
	}
}

// read finds the messages below a node. r has what parameters stand for.
func (c *collector) read(top ast.Node, r reader, in *ast.FuncDecl) {
	ast.Inspect(top, func(n ast.Node) bool {
		if body, ok := n.(*ast.BlockStmt); ok && c.bodies[body] && n != top {
			return false
		}
		switch n := n.(type) {
		case *ast.CompositeLit:
			if m, ok := r.literal(n); ok {
				c.found = append(c.found, m)
			}
		case *ast.CallExpr:
			if m, ok := r.known(n); ok {
				c.found = append(c.found, m)
				break
			}
			for _, m := range c.makersOf(n, in) {
				c.call(m, n, r)
			}
		}
		return true
	})
}

// makersOf are the makers that a call may mean: the variable of the function that calls,
// else a function of the package. Where the name is a parameter, it may be each variable
// of that name and shape.
func (c *collector) makersOf(call *ast.CallExpr, in *ast.FuncDecl) (all []*maker) {
	name := lastName(call.Fun)
	if isRoot(name) {
		return nil
	}
	parameter := in != nil && slices.ContainsFunc(in.Type.Params.List, func(f *ast.Field) bool {
		return slices.ContainsFunc(f.Names, func(n *ast.Ident) bool { return n.Name == name })
	})
	for _, m := range c.makers {
		fits := m.name == name && len(call.Args) >= len(m.params)-1
		if !fits {
			continue
		}
		_, isPlain := call.Fun.(*ast.Ident)
		switch {
		case m.within != nil && m.within == in && isPlain:
			return []*maker{m}
		case m.within == nil, parameter && isPlain:
			all = append(all, m)
		}
	}
	if parameter { // of one shape: refuse(remedy, format) is not refuse(format)
		shape := c.shapeOf(in, name)
		all = slices.DeleteFunc(all, func(m *maker) bool { return len(m.params) != shape })
	}
	return all
}

// shapeOf is the number of parameters of a parameter that is a function.
func (c *collector) shapeOf(in *ast.FuncDecl, name string) int {
	for _, f := range in.Type.Params.List {
		if !slices.ContainsFunc(f.Names, func(n *ast.Ident) bool { return n.Name == name }) {
			continue
		}
		of, ok := f.Type.(*ast.FuncType)
		if !ok {
			of = c.types[lastName(f.Type)]
		}
		if of != nil {
			params, _ := makesFormatted(of)
			return len(params)
		}
	}
	return 0
}

// call reads a maker's body with the arguments of a call in the place of its parameters.
func (c *collector) call(m *maker, call *ast.CallExpr, r reader) {
	m.called = true
	inner := reader{text: map[string]string{}, value: map[string]ast.Expr{}}
	for i, name := range m.params[:len(m.params)-1] {
		inner.text[name], inner.value[name] = r.readable(call.Args[i]), r.resolve(call.Args[i])
	}
	before := len(c.found)
	c.read(m.body, inner, m.within)
	format := inner.text[m.params[len(m.params)-2]]
	for i := before; i < len(c.found); i++ {
		if c.found[i].hint == "" {
			c.found[i].hint = inner.text["remedy"]
		}
	}
	switch {
	case len(c.found) == before:
		c.unknown = append(c.unknown, fmt.Sprintf("%s(… %q …) makes a message in a way that is not understood", m.name, format))
	case strings.Trim(format, "…%sv: ") != "" && !strings.Contains(c.found[before].text, format):
		c.unknown = append(c.unknown, fmt.Sprintf("%s: the message %q does not have the format %q", m.name, c.found[before].text, format))
	}
}

// A reader puts expressions into words. text and value are what parameters stand for.
type reader struct {
	text  map[string]string
	value map[string]ast.Expr
}

func (r reader) resolve(e ast.Expr) ast.Expr {
	if name, ok := e.(*ast.Ident); ok && r.value[name.Name] != nil {
		return r.value[name.Name]
	}
	return e
}

// exitOf is the exit code of a kind, which the source names.
func (r reader) exitOf(kind ast.Expr) string {
	if of, ok := kinds()[lastName(r.resolve(kind))]; ok {
		code, _ := classify(of)
		return strconv.Itoa(code)
	}
	return "by its cause"
}

func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.CallExpr:
		return lastName(e.Fun)
	}
	return ""
}

// readable is an expression as a person may read it; what is known at run time only is
// an ellipsis.
func (r reader) readable(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if s, err := strconv.Unquote(e.Value); err == nil {
			return s
		}
	case *ast.BinaryExpr:
		return r.readable(e.X) + r.readable(e.Y)
	case *ast.CallExpr:
		return r.readableCall(e)
	case *ast.Ident:
		if text, ok := r.text[e.Name]; ok {
			return text
		}
		if e.Name == "nil" {
			return ""
		}
	}
	return "…"
}

func (r reader) readableCall(call *ast.CallExpr) string {
	all := func(sep string) string {
		var parts []string
		for _, a := range call.Args {
			parts = append(parts, r.readable(a))
		}
		return strings.Join(parts, sep)
	}
	switch lastName(call.Fun) {
	case "Do":
		return all("")
	case "Run":
		return "t2-cred " + all(" ")
	case "Shell":
		return all(" ")
	case "With":
		return r.readable(call.Fun.(*ast.SelectorExpr).X) + " " + all(" ")
	case "For":
		return r.readable(call.Fun.(*ast.SelectorExpr).X)
	case "Say", "Words", "New":
		if len(call.Args) > 0 {
			return r.readable(call.Args[0])
		}
	case "Sprintf", "Errorf":
		if len(call.Args) > 0 {
			return r.filled(r.readable(call.Args[0]), call.Args[1:])
		}
	}
	return "…"
}

var oneVerb = regexp.MustCompile(`%[-+# 0-9]*[a-z]`)

// filled puts the texts that are known into a format, in the place of their verbs.
func (r reader) filled(format string, values []ast.Expr) string {
	n := -1
	return oneVerb.ReplaceAllStringFunc(format, func(verb string) string {
		if n++; n < len(values) {
			if _, isCall := values[n].(*ast.CallExpr); isCall && r.text != nil {
				if text := r.readable(values[n]); text != "…" && text != "" {
					return text
				}
			}
		}
		return verb
	})
}

// known is the message of a call that makes one, by the names that all packages use.
func (r reader) known(n *ast.CallExpr) (message, bool) {
	switch name := lastName(n.Fun); {
	case name == "usageError" && len(n.Args) == 1:
		return message{r.readable(n.Args[0]), strconv.Itoa(exitUsage), ""}, true
	case name == "configErrorf" && len(n.Args) >= 2:
		return message{r.readable(n.Args[1]), strconv.Itoa(exitConfig), r.readable(n.Args[0])}, true
	case name == "configRemedy" && len(n.Args) >= 2:
		var remedy []string
		for _, part := range n.Args[1:] {
			remedy = append(remedy, r.readable(part))
		}
		return message{r.readable(n.Args[0]), strconv.Itoa(exitConfig), strings.Join(remedy, "")}, true
	case name == "Errorf" && len(n.Args) >= 4 && strings.HasPrefix(lastName(r.resolve(n.Args[0])), "Err"): // backend.Errorf
		text := r.readable(n.Args[3])
		if kind := kinds()[lastName(r.resolve(n.Args[0]))]; kind != nil {
			text = strings.TrimSuffix(kind.Error()+": "+text, ": ")
		}
		return message{text, r.exitOf(n.Args[0]), r.readable(n.Args[2])}, true
	}
	return message{}, false
}

// In the place of an exit code: a finding of doctor, and one that is no complaint.
const ofDoctor, allWell = "doctor", "ok"

// literal is the message of an error, or of a finding of doctor, that is written out.
func (r reader) literal(lit *ast.CompositeLit) (m message, ok bool) {
	// By type: the exit code where no Kind says it, and the field with the text.
	kind, text := lastName(lit.Type), "Detail"
	switch {
	case kind == "Error" && (strings.Contains(fmt.Sprint(lit.Type), "hint") || strings.Contains(fmt.Sprint(lit.Type), "Remedy")):
	case kind == "ConfigError":
		m.exit = strconv.Itoa(exitConfig)
	case kind == "VerifyError":
		m.exit, text = strconv.Itoa(exitVerify), "Why"
	case kind == "KeyError":
		m.exit, text = strconv.Itoa(exitConfig), "Why"
	case kind == "profileError":
		m.exit, text = strconv.Itoa(exitConfig), "why"
	case kind == "finding" && r.text != nil:
		m.exit, text = ofDoctor, "what"
	default:
		return m, false
	}
	for i, e := range lit.Elts {
		field, isNamed := e.(*ast.KeyValueExpr)
		switch {
		case !isNamed && i == len(lit.Elts)-1: // KeyError, whose text is last
			m.text = r.readable(e)
		case !isNamed:
		case lastName(field.Key) == "Kind":
			m.exit = r.exitOf(field.Value)
			if of := kinds()[lastName(r.resolve(field.Value))]; of != nil && m.text == "" {
				m.text = of.Error()
			}
		case lastName(field.Key) == "level" && lastName(field.Value) == "levelOK":
			m.exit = allWell
		case lastName(field.Key) == text:
			m.text = r.readable(field.Value)
		case lastName(field.Key) == "Remedy", lastName(field.Key) == "hint":
			m.hint = r.readable(field.Value)
		}
	}
	return m, true
}

// TestCollect_findsMakers: a message that a function makes for others is found, through
// any number of them; one that is made in another way is an error of the test.
func TestCollect_findsMakers(t *testing.T) {
	source := func(body string) map[string]*ast.File {
		file, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n"+body, 0)
		if err != nil {
			t.Fatal(err)
		}
		return map[string]*ast.File{"store/x/x.go": file}
	}
	for name, tt := range map[string]struct {
		body string
		want []message
	}{
		"a method around backend.Errorf": {`
			func (c *client) unavailable(cause error, format string, args ...any) error {
				return backend.Errorf(backend.ErrUnavailable, cause, hint.Of(cause), format, args...)
			}
			func (c *client) get() error { return c.unavailable(nil, "the engine at %s answers %d", a, b) }`,
			[]message{{"store is not available: the engine at %s answers %d", "5", "…"}}},
		"one around another": {`
			func (r R) notNarrowed(remedy hint.Remedy, format string, args ...any) error {
				return &hint.Error{Kind: ErrNotGranted, Remedy: remedy, Detail: fmt.Sprintf("none (%s): %s; no more", r, fmt.Sprintf(format, args...))}
			}
			func f(r R) error {
				refuse := func(format string, args ...any) error { return r.notNarrowed(hint.Say("look"), format, args...) }
				return refuse("it is %d", 5)
			}`, []message{{"none (%s): it is %d; no more", "8", "look"}}},
		"a parameter": {`
			func g() error {
				wrong := func(key, format string, args ...any) error { return &KeyError{key, fmt.Sprintf(format, args...)} }
				return h(wrong)
			}
			func h(wrong func(key, format string, args ...any) error) error { return wrong("role", "is %q", x) }`,
			[]message{{"is %q", "3", ""}}},
		"a kind that the caller names": {`
			func fail(kind error, format string, args ...any) error { return &hint.Error{Kind: kind, Detail: fmt.Sprintf(format, args...)} }
			func k() error { return fail(ErrCorrupt, "no record in %s", p) }`,
			[]message{{"no record in %s", "5", ""}}},
		"a parameter of a named type, beside a variable of another shape": {`
			type refusal func(remedy hint.Remedy, format string, args ...any) error
			func g() error {
				refuse := func(remedy hint.Remedy, format string, args ...any) error { return &hint.Error{Kind: ErrSubjectToken, Remedy: remedy, Detail: fmt.Sprintf(format, args...)} }
				return h(refuse)
			}
			func i() error {
				refuse := func(format string, args ...any) error { return &hint.Error{Kind: ErrCorrupt, Detail: fmt.Sprintf(format, args...)} }
				return refuse("z")
			}
			func h(refuse refusal) error { return refuse(hint.Say("do"), "w") }`,
			[]message{{"z", "5", ""}, {"w", "7", "do"}}},
		"two variables of one name in two functions": {`
			func a() error {
				refuse := func(format string, args ...any) error { return &hint.Error{Kind: ErrSubjectToken, Detail: "a: " + fmt.Sprintf(format, args...)} }
				return refuse("x")
			}
			func b() error {
				refuse := func(format string, args ...any) error { return &hint.Error{Kind: ErrSubjectToken, Detail: "b: " + fmt.Sprintf(format, args...)} }
				return refuse("y")
			}`, []message{{"a: x", "7", ""}, {"b: y", "7", ""}}},
	} {
		found, unknown := collect(source(tt.body))
		if got := found["store/x"]; !slices.Equal(got, tt.want) || len(unknown) > 0 {
			t.Errorf("%s: %+v, want %+v; not understood: %q", name, got, tt.want, unknown)
		}
	}
	for name, body := range map[string]string{
		"an error of its own":   `func odd(format string, args ...any) error { return mine(fmt.Sprintf(format, args...)) }` + "\n" + `func f() error { return odd("x %d", 1) }`,
		"one that drops it":     `func odd(format string, args ...any) error { return &hint.Error{Kind: ErrCorrupt, Detail: "something"} }` + "\n" + `func f() error { return odd("x %d", 1) }`,
		"one that nobody calls": `func odd(format string, args ...any) error { return &hint.Error{Kind: ErrCorrupt, Detail: fmt.Sprintf(format, args...)} }`,
		"one without a name":    `func f() error { return g(func(format string, args ...any) error { return &hint.Error{Detail: fmt.Sprintf(format, args...)} }) }`,
	} {
		if _, unknown := collect(source(body)); len(unknown) == 0 {
			t.Errorf("%s: is taken as understood", name)
		}
	}
}
