package store

import (
	"time"

	"github.com/godbus/dbus/v5"
)

// callTime is what a keyring is given for one operation.
const callTime = 5 * time.Second

// The names of the Secret Service that the tests' own services and clients use.
const (
	secretsName      = "org.freedesktop.secrets"
	secretsPath      = dbus.ObjectPath("/org/freedesktop/secrets")
	loginCollection  = dbus.ObjectPath("/org/freedesktop/secrets/collection/login")
	ifaceService     = "org.freedesktop.Secret.Service"
	ifaceCollection  = "org.freedesktop.Secret.Collection"
	ifaceItem        = "org.freedesktop.Secret.Item"
	ifacePrompt      = "org.freedesktop.Secret.Prompt"
	getProperty      = "org.freedesktop.DBus.Properties.Get"
	noObject         = dbus.ObjectPath("/")
	attributeService = "service"
	attributeUser    = "username"
)
