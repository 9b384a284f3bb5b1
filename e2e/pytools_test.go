package e2e

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// TestPythonKeyring_tools: poetry, hatch, twine, pdm and pip load Python's keyring as a
// library. The wheel beside them is all that they need to get the token as a password.
func TestPythonKeyring_tools(t *testing.T) {
	bin := installWheel(t, buildWheel(t, program(t).Path), "venv-python")
	index := &uploads{have: map[string]string{}}
	mux := http.NewServeMux()
	mux.Handle("/legacy/", index)
	mux.Handle("/", pythonIndex(t))
	s := newToolStage(t, mux)
	users := basicUsers(s.server)
	s.Set("PATH="+bin+":/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE=1", "PIP_CONFIG_FILE=/dev/null", "REQUESTS_CA_BUNDLE="+s.server.caFile,
		"PIP_CERT="+s.server.caFile, "PIP_NO_INPUT=1", "PIP_RETRIES=0", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_NO_CACHE_DIR=1",
		"TWINE_CERT="+s.server.caFile, "TWINE_NON_INTERACTIVE=1", "HATCH_PUBLISHER_INDEX_CA_CERT="+s.server.caFile,
		"POETRY_NO_INTERACTION=1", "POETRY_VIRTUALENVS_CREATE=false", "POETRY_CERTIFICATES_EXAMPLE_CERT="+s.server.caFile,
		"POETRY_REPOSITORIES_EXAMPLE_URL=https://"+s.server.host+"/legacy/", "PDM_CHECK_UPDATE=0", "PDM_USE_VENV=0", "PDM_NON_INTERACTIVE=1")
	python := filepath.Join(bin, "python3")
	wheel := string(pythonWheel(t))
	for _, dir := range []string{"poetry", "hatch", "twine", "pdm"} {
		s.write(dir+"/dist/"+wheelName, wheel)
	}
	project := "[project]\nname = \"greeting\"\nversion = \"1.0.0\"\nrequires-python = \">=3.9\"\n"
	user := "[project]\nname = \"user\"\nversion = \"1.0.0\"\nrequires-python = \">=3.9\"\ndependencies = [\"greeting\"]\n"
	s.write("poetry/pyproject.toml", project)
	s.write("pdm/pyproject.toml", project)
	source := "name = \"example\"\nurl = \"https://" + s.server.host + "/simple/\"\n"
	s.write("poetry-user/pyproject.toml", user+"[[tool.poetry.source]]\npriority = \"primary\"\n"+source)
	s.write("pdm-user/pyproject.toml", user+"[[tool.pdm.source]]\nca_certs = \""+s.server.caFile+"\"\n"+strings.Replace(source, "example", "pypi", 1)) // else pdm asks its default index too

	repository := "https://" + s.server.host + "/legacy/"
	for _, c := range []struct {
		name, dir, user string // user: what the tool says of itself, or oauth2
		args            []string
		uploads, tries  bool // tries: first without a password
	}{
		{"twine", "twine", "oauth2", []string{"twine", "upload", "--repository-url", repository, "dist/" + wheelName}, true, false},
		{"twine, with a user", "twine", "me", []string{"twine", "upload", "-u", "me", "--repository-url", repository, "dist/" + wheelName}, true, false},
		{"hatch", "hatch", "me", []string{"hatch", "publish", "-n", "-r", repository, "-u", "me", "--ca-cert", s.server.caFile, "dist/" + wheelName}, true, false},
		{"poetry", "poetry", "oauth2", []string{"poetry", "publish", "-r", "example"}, true, false},
		{"pdm", "pdm", "me", []string{"pdm", "publish", "--no-build", "-r", repository, "-u", "me", "--ca-certs", s.server.caFile}, true, false},
		{"pip", "twine", "oauth2", []string{"pip", "download", "--no-deps", "--keyring-provider", "import", "--index-url", "https://" + s.server.host + "/simple/", "greeting"}, false, true},
		{"poetry reads", "poetry-user", "oauth2", []string{"poetry", "lock"}, false, false},
		{"pdm reads", "pdm-user", "oauth2", []string{"pdm", "lock"}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := s.in(t)
			s.version(python, "-m", c.args[0], "--version")
			clear(index.have)
			s.server.take()
			users()
			out := s.wantTool(c.dir, nil, python, append([]string{"-m"}, c.args...)...)
			if c.uploads && index.have[wheelName] != wheel {
				t.Errorf("%d bytes came, of %d:\n%s", len(index.have[wheelName]), len(wheel), out)
			}
			if seen := users(); len(seen) != 1 || !seen[c.user] {
				t.Errorf("users %v, want %s", seen, c.user)
			}
			by := []string{"alice"}
			if c.tries {
				by = append(by, "none")
			}
			s.server.wantRequests(t, by...)
		})
	}

	// With nothing stored no password is made up, and the words are t2-cred's.
	s.Want(0, "erase")
	s.wantToolFails("twine", []string{"nothing is stored for gep/default", "hint: ", "t2-cred exchange"}, python, "-m", "twine", "upload", "--repository-url", repository, "dist/"+wheelName)
	if seen := users(); len(seen) > 0 {
		t.Errorf("with nothing stored a password was sent, by %v", seen)
	}
}

// in is the stage for a part of its test.
func (s *toolStage) in(t *testing.T) *toolStage {
	part := *s
	part.t = t
	return &part
}
