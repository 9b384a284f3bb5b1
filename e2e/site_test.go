package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/terradue/t2-cred/e2e/parts"
)

// buildSite builds the pages as a site. mkdocs ends with an error for a link to a page or a
// heading that does not exist.
func buildSite(t *testing.T) (dir string) {
	t.Helper()
	mkdocs := needTool(t, "more/site", "venv-site/bin/mkdocs")
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	cmd := exec.Command(mkdocs, "build", "-q", "--strict", "-f", filepath.Join(top, "contrib/site/mkdocs.yml"), "-d", dir)
	cmd.Env = append(os.Environ(), "NO_MKDOCS_2_WARNING=1", "PYTHONDONTWRITEBYTECODE=1")
	outputOf(t, cmd)
	return dir
}

// sitePages are the names of the pages of a built site.
func sitePages(t *testing.T, dir string) (pages []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".html") && d.Name() != "404.html" {
			name, _ := filepath.Rel(dir, path)
			pages = append(pages, name)
		}
		return err
	})
	if err != nil || len(pages) < 30 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	return pages
}

var (
	siteLink = regexp.MustCompile(`(?:href|src)="([^"]+)"`)
	siteID   = regexp.MustCompile(` id="([^"]+)"`)
)

// TestMore_siteLinks: each link within the site leads to a file, and to a heading, that exists;
// the others are https. Each page is in the menu and is found by the search.
func TestMore_siteLinks(t *testing.T) {
	parts.More(t)
	dir := buildSite(t)
	index := readFile(t, filepath.Join(dir, "search/search_index.json"))
	menu := readFile(t, filepath.Join(dir, "index.html"))
	links := 0
	for _, page := range sitePages(t, dir) {
		if page != "index.html" && !strings.Contains(menu, `href="`+page+`" class="md-nav__link"`) {
			t.Errorf("the menu lacks %s", page)
		}
		if strings.Contains(readFile(t, filepath.Join(dir, page)), `\|`) {
			t.Errorf(`%s shows the backslash of \| in a table`, page)
		}
		if !strings.Contains(index, `"`+page) && page != "index.html" {
			t.Errorf("the search does not know %s", page)
		}
		for _, m := range siteLink.FindAllStringSubmatch(readFile(t, filepath.Join(dir, page)), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			switch {
			case strings.HasPrefix(target, "https://"), strings.HasPrefix(m[1], "data:"), strings.HasPrefix(m[1], "javascript:"):
				continue
			case strings.Contains(target, "://"):
				t.Errorf("%s has a link without https: %s", page, m[1])
				continue
			}
			links++
			file := filepath.Join(dir, page)
			if target != "" {
				file = filepath.Join(dir, filepath.Dir(page), target)
			}
			if info, err := os.Stat(file); err == nil && info.IsDir() {
				file = filepath.Join(file, "index.html")
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Errorf("%s has a dead link: %s", page, m[1])
				continue
			}
			if anchor == "" || !strings.HasSuffix(file, ".html") {
				continue
			}
			found := false
			for _, id := range siteID.FindAllStringSubmatch(string(text), -1) {
				found = found || id[1] == anchor
			}
			if !found && !strings.HasPrefix(anchor, "__") {
				t.Errorf("%s has a link to a heading that does not exist: %s", page, m[1])
			}
		}
	}
	if links < 1000 {
		t.Errorf("only %d links were found", links)
	}
}

// TestMore_siteInABrowser opens every page on a telephone and on a desk, by day and by night.
// No page is wider than its window, and all text stands out from its background.
func TestMore_siteInABrowser(t *testing.T) {
	parts.More(t)
	dir := buildSite(t)
	web := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(web.Close)
	w := openWindow(t)
	for _, width := range []int64{320, 1280} {
		for _, scheme := range []string{"light", "dark"} {
			media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
			if _, err := chromedp.Call(w.ctx, emulation.SetEmulatedMedia, media); err != nil {
				t.Fatal(err)
			}
			for _, page := range sitePages(t, dir) {
				w.do(chromedp.EmulateViewport(width, 900), chromedp.Navigate(web.URL+"/"+page))
				if wide := ask(w, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`)); wide > width {
					t.Errorf("%s is %d wide in a window of %d", page, wide, width)
				}
				light := ask(w, chromedp.Evaluate[float64](`(c => { const [r, g, b] = c.match(/[0-9.]+/g).map(Number); return (r + g + b) / 3 })(getComputedStyle(document.body).backgroundColor)`))
				ink := ask(w, chromedp.Evaluate[float64](`(c => { const [r, g, b] = c.match(/[0-9.]+/g).map(Number); return (r + g + b) / 3 })(getComputedStyle(document.querySelector('article')).color)`))
				if scheme == "light" && light < 200 || scheme == "dark" && light > 80 || scheme == "dark" && ink < 128 {
					t.Errorf("%s: the background is %.0f and the text %.0f by %s", page, light, ink, scheme)
				}
				if page == "index.html" || page == "benchmarks.html" || page == "hooks.html" {
					w.picture(strings.TrimSuffix(page, ".html") + "-" + scheme + map[bool]string{true: "-narrow", false: "-wide"}[width < 500])
				}
			}
		}
	}
}
