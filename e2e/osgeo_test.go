package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/terradue/t2-cred/e2e/parts"
)

// osgeoScript opens files by GDAL's own Python module: of the server and of a stranger in
// the block, and of the server after it. That none of them is a raster does not matter.
const osgeoScript = `
import sys, time
from osgeo import gdal
import t2cred.gdal

gdal.DontUseExceptions()
server, stranger = sys.argv[1:]
with t2cred.gdal.server(server):
    gdal.Open("/vsicurl/" + server + "/in.tif")
    gdal.Open("/vsicurl/" + stranger + "/stranger.tif")
gdal.Open("/vsicurl/" + server + "/after.tif")
assert gdal.GetConfigOption("GDAL_DISABLE_READDIR_ON_OPEN") is None
`

// TestMore_osgeo: t2cred.gdal serves the program that uses osgeo.gdal, and keeps the token
// to one server and to the block.
func TestMore_osgeo(t *testing.T) {
	parts.More(t)
	root := filepath.Dir(filepath.Dir(filepath.Dir(needTool(t, "more/gdal", "gdal-trixie/usr/bin/python3"))))
	top, err := parts.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	p := newGitPlace(t, root) // its server refuses whoever has no token
	stranger := newGitFront(t, p.issuer)
	modules, err := filepath.Glob(filepath.Join(top, "contrib/python/src/t2cred/*.py"))
	if err != nil || len(modules) == 0 {
		t.Fatal(err)
	}
	for _, path := range modules {
		p.write("t2cred/"+filepath.Base(path), readFile(t, path), os.FileMode(0o600))
	}
	p.front.take()
	p.want("env", "PYTHONPATH="+p.home, "PYTHONDONTWRITEBYTECODE=1", "python3", "-c", osgeoScript, p.front.URL, stranger.URL)
	log := p.front.take()
	if len(log) < 2 || log[0] != "Bearer alice" || log[len(log)-1] != "none" {
		t.Errorf("requests came as %q: with the token in the block, and without it after", log)
	}
	stranger.want(t, "none")
}
