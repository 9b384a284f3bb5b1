module github.com/terradue/t2-cred/e2e

go 1.26.0

replace github.com/terradue/t2-cred => ../

require (
	github.com/godbus/dbus/v5 v5.2.4
	github.com/terradue/t2-cred v0.0.0-00010101000000-000000000000
)

require golang.org/x/sys v0.49.0
