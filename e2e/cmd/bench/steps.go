package main

// steps says where the time of a refresh goes, and what cannot be left out. The figures are
// of one run with probes in the kernel, which this program cannot place.
func steps() table {
	return table{
		title: "A refresh, step by step",
		text: `Measured once, on 30 November 2026, with probes at the steps, the built-in issuer and an
engine of three nodes on one disk. The probes and a busy machine add to each step.

- The keyring store waits three times for the bus or the Secret Service before it sends. The
  first wait is for the connection, the authentication and the collections. The second is for
  the lock, the session and three searches, and the third for the secrets, asked for at once.
  Meanwhile the file is written that the new record may need.
- After the answer it waits twice more: for the comparison with the stored item, and for the
  write. gnome-keyring writes its whole file and waits for the disk. The value is read back in
  the same wait. The token is verified, cached and noted meanwhile.
- The comparison stays: another program may have changed the item while the issuer was asked.
  The identity for copies is read each time, because a copy that nobody can open is lost.
- A refresh through OpenBao waits five times: for the item with a new TLS connection, the
  claim, the check of the claim, the issuer, and the save. The client's secret and the identity
  for copies are read while the claim is written, on one more connection. Room is made while the
  claim is checked.
- The claim is the mark that no machine may miss, so it is written before the token is sent.
  The two writes are most of the time. Each one waits for the disks of two nodes.
- The check of the claim stays. An item that was erased and made again counts its versions
  from 1, so its version number may be that of the item that was read. The engine's answer to a
  check-and-set does not tell the two apart.

The built-in issuer answers faster than Keycloak, so there the ratio of OpenBao to the file store
is larger. TestFleetCost in e2e tells it.`,
		head: []string{"", "keyring", "file", "OpenBao"},
		rows: [][]string{
			{"configuration, signals, lock", "0.9 ms", "1.2 ms", "0.9 ms"},
			{"read the record, the client's secret, the identity for copies", "3.2 ms", "0.9 ms", "3.3 ms"},
			{"write the claim", "", "", "6.2 ms"},
			{"make room (OpenBao: and check the claim), write the mark", "0.5 ms", "0.7 ms", "1.9 ms"},
			{"send, wait for the issuer, read the answer", "2.6 ms", "2.6 ms", "2.6 ms"},
			{"seal the copy (OpenBao: and verify the token)", "0.2 ms", "0.2 ms", "0.5 ms"},
			{"compare the item", "1.1 ms", "", ""},
			{"save the item (file: and read it back), verify, cache, note", "1.9 ms", "2.1 ms", "4.6 ms"},
			{"print", "0.3 ms", "0.2 ms", "0.3 ms"},
		},
	}
}
