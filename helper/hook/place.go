package hook

import "net/url"

// placeURL is the URL of a server that a tool named by scheme and host, with or
// without a port. What is more than that, or could be read in two ways, is
// nobody's place.
func placeURL(scheme, host string) *url.URL {
	u, err := url.Parse(scheme + "://" + host + "/")
	if err != nil || u.Scheme != scheme || u.Host != host || u.User != nil || u.Path != "/" || u.RawQuery != "" {
		return &url.URL{Opaque: "not a place"}
	}
	return u
}
