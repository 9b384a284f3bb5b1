package oidctest

// Behind has the issuer call itself by the address of a front (scheme, host and port):
// a proxy that hands it the requests. Call it before anything was asked for.
func (i *Issuer) Behind(base string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.base, i.url = base, base+i.path
}
