package setup

import (
	"fmt"
	"strings"
)

// readConfigParser reads as Python's configparser does, which pip and botocore
// use: a line that is indented more than its option is a part of the option's
// value, and nothing may be there twice.
func readConfigParser(text string) (all []setting, err error) {
	lines, err := textLines(text)
	if err != nil {
		return nil, err
	}
	section, inSection, inOption, level := "", false, false, 0
	seen := map[string]bool{}
	for n, line := range lines {
		if isComment(line) {
			continue
		}
		value := strings.TrimSpace(line)
		indent := strings.Index(line, value)
		if inOption && indent > level {
			all[len(all)-1].value += "\n" + value
			continue
		}
		level = indent
		if end := strings.LastIndexByte(value, ']'); value[0] == '[' && end > 1 {
			section, inSection, inOption = value[1:end], true, false
			if seen[section] {
				return nil, atLine(n, fmt.Sprintf("duplicate section [%s]", section))
			}
			seen[section] = true
			continue
		}
		at := strings.IndexAny(value, "=:")
		switch {
		case !inSection:
			return nil, atLine(n, "before the first section")
		case at <= 0:
			return nil, atLine(n, "not a section, and no key with a value")
		}
		key := strings.ToLower(strings.TrimSpace(value[:at]))
		if name := section + "\x00" + key; !seen[name] {
			seen[name] = true
		} else {
			return nil, atLine(n, "duplicate key "+key)
		}
		all = append(all, setting{section, key, strings.TrimSpace(value[at+1:])})
		inOption = true
	}
	return all, nil
}

// readNpmrc reads as npm's ini does. What it does not understand it skips.
func readNpmrc(text string) (all []setting, err error) {
	lines, err := textLines(strings.TrimPrefix(text, bom)) // which npm takes for a space
	if err != nil {
		return nil, err
	}
	section := ""
	for n, line := range lines {
		name, isHeader := header(line)
		key, value, _ := strings.Cut(line, "=")
		switch key = npmrcWord(key); {
		case isComment(line):
		case isHeader && strings.HasPrefix(line, "[") && !strings.Contains(name, "]"):
			section = name
		case key == "":
			return nil, atLine(n, "no key before the =")
		default:
			all = append(all, setting{section, key, strings.TrimSpace(value)})
		}
	}
	return all, nil
}

// npmrcWord is a key without its quotes.
func npmrcWord(key string) string {
	key = strings.TrimSpace(key)
	if n := len(key) - 1; n > 0 && key[0] == key[n] && (key[0] == '"' || key[0] == '\'') {
		return key[1:n]
	}
	return key
}

// readGoEnv reads as go does: go env -w writes nothing else than KEY=value, and go
// skips other lines. The value ends where the line ends, spaces and all.
func readGoEnv(text string) (all []setting, err error) {
	if strings.ContainsRune(text, 0) {
		return nil, fmt.Errorf("a control character")
	}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if ok && key != "" && key[0] >= 'A' && key[0] <= 'Z' {
			all = append(all, setting{"", key, value})
		}
	}
	return all, nil
}

// readGDAL reads GDAL's configuration: sections of options, and those of the paths
// that begin with a dot below [credentials].
func readGDAL(text string) (all []setting, err error) {
	lines, err := textLines(text)
	if err != nil {
		return nil, err
	}
	top, section := "", ""
	for n, line := range lines {
		name, isHeader := header(line)
		key, value, ok := strings.Cut(line, "=")
		switch {
		case isComment(line):
		case isHeader && strings.HasPrefix(name, "."):
			section = join(top, name)
		case isHeader:
			top, section = name, name
		case strings.HasPrefix(line, "["):
			return nil, atLine(n, "a section without its ]")
		case !ok || section == "":
			return nil, atLine(n, "not a section, and no option of one")
		default:
			all = append(all, setting{section, strings.TrimSpace(key), strings.TrimSpace(value)})
		}
	}
	return all, nil
}

// readRclone reads rclone's configuration. A value in quotes may have further
// lines, which rclone itself does not write.
func readRclone(text string) (all []setting, err error) {
	if strings.Contains(text, "RCLONE_ENCRYPT_V") {
		return nil, fmt.Errorf("it is encrypted")
	}
	lines, err := textLines(text)
	if err != nil {
		return nil, err
	}
	section, inSection := "", false
	for n, line := range lines {
		line = strings.TrimSpace(line)
		if isComment(line) {
			continue
		}
		if name, ok := header(line); ok {
			section, inSection = name, true
			continue
		}
		at := strings.IndexAny(line, "=:")
		switch {
		case !inSection:
			return nil, atLine(n, "before the first section")
		case line[0] == '[':
			return nil, atLine(n, "a section without its ]")
		case at <= 0 || line[0] == '"' || line[0] == '`':
			return nil, atLine(n, "not a section, and no key with a value")
		}
		value := strings.TrimSpace(line[at+1:])
		if value != "" && (value[0] == '`' || value[0] == '"') && (len(value) == 1 || value[len(value)-1] != value[0] || strings.HasPrefix(value, `"""`)) {
			return nil, atLine(n, "a value in quotes of more than one line")
		}
		all = append(all, setting{section, strings.TrimSpace(line[:at]), value})
	}
	return all, nil
}
