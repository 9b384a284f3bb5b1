#!/usr/bin/env bash
# Keycloak 18.0.2, an issuer of a generation that many still run, for keycloak18_test.go. It is
# built like the newer one of e2e/setup.sh: options fixed, database in memory.
. "$(dirname "$0")/lib.bash"

version=18.0.2
# Raised when the build options below change, so that older builds are left alone.
build=1
dependency_plugin=3.6.0

name=keycloak-$version-$build
if [ ! -e "$cache/$name/lib/quarkus-run.jar" ]; then
  command -v java >/dev/null || apt_install default-jre-headless
  command -v mvn >/dev/null || apt_install maven
  say "fetching Keycloak $version (190 MB, unless Maven has it already)"
  try mvn -B -q -C "org.apache.maven.plugins:maven-dependency-plugin:$dependency_plugin:copy" \
    -Dartifact="org.keycloak:keycloak-quarkus-dist:$version:tar.gz" -DoutputDirectory="$tmp"
  tar -xzf "$tmp/keycloak-quarkus-dist-$version.tar.gz" -C "$tmp" --no-same-owner
  say "building Keycloak $version for a fast start"
  try "$tmp/keycloak-$version/bin/kc.sh" build --db=dev-mem --cache=local --http-relative-path=/auth \
    --features=token-exchange,admin-fine-grained-authz
  rm -rf "${cache:?}/$name"
  mv "$tmp/keycloak-$version" "$cache/$name"
fi
ln -sfn "$name" "$cache/keycloak18"
