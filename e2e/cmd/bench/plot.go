package main

import (
	"bytes"
	"fmt"
	"html"
	"strconv"
	"strings"
)

// plotted are the tables that the plot shows: their medians, as bars.
var plotted = []string{"A cached token", "A refresh"}

// A bar is a name and its median in milliseconds.
type bar struct {
	name string
	ms   float64
}

// barsOf reads the medians of one table of the page.
func barsOf(page, title string) (bars []bar, err error) {
	_, section, found := strings.Cut(page, "\n## "+title+"\n")
	if !found {
		return nil, fmt.Errorf("the page has no section %q", title)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	column := -1
	for line := range strings.Lines(section) {
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|--") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for n := range cells {
			cells[n] = strings.TrimSpace(cells[n])
			if cells[n] == "median" {
				column = n
			}
		}
		if cells[0] == "" || column < 0 || column >= len(cells) {
			continue
		}
		ms, err := strconv.ParseFloat(strings.TrimSuffix(cells[column], " ms"), 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", title, cells[0], err)
		}
		bars = append(bars, bar{cells[0], ms})
	}
	if len(bars) == 0 {
		return nil, fmt.Errorf("the section %q has no medians", title)
	}
	return bars, nil
}

// plot draws the medians of the page as an SVG, for light and for dark.
func plot(page string) ([]byte, error) {
	const (
		width, left, right, row = 760, 300, 80, 24
	)
	var body bytes.Buffer
	y := 16
	for _, title := range plotted {
		bars, err := barsOf(page, title)
		if err != nil {
			return nil, err
		}
		longest := 0.0
		for _, b := range bars {
			longest = max(longest, b.ms)
		}
		fmt.Fprintf(&body, "<text class=\"h\" x=\"16\" y=\"%d\">%s: median, from start to exit</text>\n", y+14, html.EscapeString(title))
		y += row + 4
		for _, b := range bars {
			class := "b"
			if strings.HasPrefix(b.name, "t2-cred") {
				class = "b t2"
			}
			length := b.ms / longest * (width - left - right)
			fmt.Fprintf(&body, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text><rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"16\" rx=\"2\"/><text x=\"%.1f\" y=\"%d\">%.2f ms</text>\n",
				left-8, y+13, html.EscapeString(b.name), class, left, y, length, float64(left)+length+6, y+13, b.ms)
			y += row
		}
		y += 12
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-labelledby="t">
<title id="t">How long a cached token and a refresh take</title>
<style>
:root{--bg:#ffffff;--ink:#1f2328;--soft:#8c959f;--hot:#0f766e}
@media (prefers-color-scheme:dark){:root{--bg:#0d1117;--ink:#e6edf3;--soft:#6e7681;--hot:#2dd4bf}}
text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:var(--ink)}.h{font-weight:600}.b{fill:var(--soft)}.t2{fill:var(--hot)}
</style>
<rect width="%d" height="%d" rx="8" fill="var(--bg)"/>
`, width, y, width, y, width, y)
	b.Write(body.Bytes())
	b.WriteString("</svg>\n")
	return b.Bytes(), nil
}
