package setup

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/terradue/t2-cred/helper"
	"github.com/terradue/t2-cred/helper/hint"
)

// planGDAL binds a file of headers to the paths of the profile's hosts. People start the
// program that keeps the file fresh themselves, as it runs on.
func planGDAL(e Env, p Profile, o Options) (Plan, error) {
	file, err := e.namedFile("GDAL_CONFIG_FILE")
	if err == nil && file == "" {
		file, err = e.homeFile("", ".gdal", "gdalrc")
	}
	if err != nil {
		return Plan{}, err
	}
	header := o.HeaderFile
	if header == "" {
		header = filepath.Join(e.Getenv("XDG_RUNTIME_DIR"), "t2-cred", "gdal-header")
	}
	switch header = filepath.ToSlash(header); {
	case o.Undo:
	case !filepath.IsAbs(header):
		return Plan{}, usageError("where is the file with the header to be? XDG_RUNTIME_DIR is not set, so there is no usual place",
			hint.Words("here: "), hint.Run("setup", "gdal", "--header-file", "FILE").With(p.Flags...))
	case !Plain(header, "/._-+:~@"):
		return Plan{}, usageError(fmt.Sprintf("GDAL and a shell could not both be told the file %q", helper.Clean(header)))
	}
	lines, paths := []string{"[credentials]"}, []string{}
	for _, host := range p.Hosts {
		for _, u := range urls(host) {
			path := "/vsicurl/" + u + "/"
			lines = append(lines, fmt.Sprintf("[.t2-%s-%d]", p.Name, len(lines)/4+1), "path="+path,
				"GDAL_HTTP_HEADER_FILE="+header, "GDAL_DISABLE_READDIR_ON_OPEN=EMPTY_DIR")
			paths = append(paths, path)
		}
	}
	return Plan{
		why: "GDAL reads headers from a file again for every request, and the path says for which server it is. Of a directory it is not to ask, which it would do without the header.",
		edits: []*edit{block{profile: p.Name, lines: lines}.edit(file, readGDAL, func(says []setting) error {
			for _, s := range says {
				if strings.EqualFold(s.key, "path") && (slices.Contains(paths, s.value) || overlaps(s.value, paths) && authorizes(says, s.section)) {
					value := ""
					if ours, ok := strings.CutPrefix(s.section, "credentials..t2-"); ok {
						other, _, _ := cutLast(ours, "-")
						value = "--profile " + other
					}
					return p.taken("gdal", "path="+helper.Clean(s.value), value)
				}
			}
			return nil
		})},
		show: fmt.Sprintf("# Then this, running on, keeps the file fresh (docs/recipes/systemd.md: as a service):\nmkdir -m 700 -p %s\n%s write %s --output %s --format header --watch\n",
			filepath.ToSlash(filepath.Dir(header)), e.Program, p.words(), header),
	}, p.someHosts(o)
}

// authorizes reports whether a section of a path has a way to prove who asks. GDAL would
// use it together with ours or instead.
func authorizes(says []setting, section string) bool {
	return slices.ContainsFunc(says, func(s setting) bool {
		return s.section == section && slices.Contains([]string{"GDAL_HTTP_HEADER_FILE", "GDAL_HTTP_HEADERS", "GDAL_HTTP_USERPWD", "GDAL_HTTP_BEARER"}, strings.ToUpper(s.key))
	})
}

// overlaps reports whether a path has options for the same files as one of ours. GDAL
// compares the beginning of a file's name.
func overlaps(path string, ours []string) bool {
	return slices.ContainsFunc(ours, func(own string) bool {
		return strings.HasPrefix(own, path) || strings.HasPrefix(path, own)
	})
}
