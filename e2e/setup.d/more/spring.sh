#!/usr/bin/env bash
# Spring Authorization Server, an issuer for the tests TestMore_Spring…: its jars by Maven, into the
# cache that e2e/setup.sh uses too. e2e/further compiles the one class that starts it.
. "$(dirname "$0")/../lib.bash"

starter=org.springframework.boot:spring-boot-starter-oauth2-authorization-server:3.5.7
dependency_plugin=3.6.0

command -v javac >/dev/null || apt_install default-jdk-headless
dir=$cache/spring
[ "$(cat "$dir/installed" 2>/dev/null)" = "$starter" ] && exit 0
command -v mvn >/dev/null || apt_install maven
say "fetching $starter (26 MB, unless Maven has it already)"
IFS=: read -r group artifact version <<<"$starter"
cat >"$tmp/pom.xml" <<EOF
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>t2-cred</groupId><artifactId>spring</artifactId><version>1</version>
  <dependencies><dependency>
    <groupId>$group</groupId><artifactId>$artifact</artifactId><version>$version</version>
  </dependency></dependencies>
</project>
EOF
try mvn -B -q -f "$tmp/pom.xml" "org.apache.maven.plugins:maven-dependency-plugin:$dependency_plugin:copy-dependencies" \
  -DoutputDirectory="$tmp/new/lib"
printf '%s\n' "$starter" >"$tmp/new/installed"
rm -rf "$dir"
mv -T "$tmp/new" "$dir"
