package hook

import "net/url"

// placeURL is the URL of a server that a tool named by scheme and host, with or without
// a port. For any other text it is a URL that no profile serves.
func placeURL(scheme, host string) *url.URL {
	u, err := url.Parse(scheme + "://" + host + "/")
	if err != nil || u.Scheme != scheme || u.Host != host || u.User != nil || u.Path != "/" || u.RawQuery != "" {
		return &url.URL{Opaque: "not a place"}
	}
	return u
}
