#!/bin/sh
# sbom.sh PACKAGE: what is compiled into one binary, from Cargo.lock, as SPDX 2.3 JSON on standard output.
set -eu
package=$1
cargo tree --locked -p "$package" -e normal,build --prefix none --no-dedupe -f '{p}|{l}' \
  | sed -e 's/ (proc-macro)//' -e 's/ ([^|]*)|/|/' -e 's/ (\*)$//' | sort -u | awk -F '|' -v package="$package" '
  function quoted(text) { gsub(/["\\]/, "", text); return "\"" text "\"" }
  {
    split($1, part, " "); name = part[1]; version = substr(part[2], 2)
    id = "SPDXRef-Package-" name "-" version; gsub(/[^A-Za-z0-9.-]/, "-", id)
    # Old crates write "MIT/Apache-2.0"; SPDX wants an expression.
    licence = $2; gsub(/\//, " OR ", licence); if (licence == "") licence = "NOASSERTION"
    if (name == package) root = id
    packages = packages (packages ? ",\n" : "") "  {\"SPDXID\":" quoted(id) ",\"name\":" quoted(name) \
      ",\"versionInfo\":" quoted(version) ",\"downloadLocation\":\"NOASSERTION\",\"filesAnalyzed\":false" \
      ",\"licenseConcluded\":\"NOASSERTION\",\"licenseDeclared\":" quoted(licence) ",\"copyrightText\":\"NOASSERTION\"" \
      ",\"externalRefs\":[{\"referenceCategory\":\"PACKAGE-MANAGER\",\"referenceType\":\"purl\",\"referenceLocator\":" \
      quoted("pkg:cargo/" name "@" version) "}]}"
    ids[++count] = id
  }
  END {
    if (root == "") { print "sbom.sh: no package " package > "/dev/stderr"; exit 1 }
    print "{\"spdxVersion\":\"SPDX-2.3\",\"dataLicense\":\"CC0-1.0\",\"SPDXID\":\"SPDXRef-DOCUMENT\",\"name\":" quoted("finflow-" package) ","
    print " \"documentNamespace\":" quoted("https://spdx.org/spdxdocs/finflow-" package) ","
    print " \"creationInfo\":{\"created\":\"1970-01-01T00:00:00Z\",\"creators\":[\"Tool: deploy/images/sbom.sh\"]},"
    print " \"packages\":[\n" packages "\n ],\n \"relationships\":["
    print "  {\"spdxElementId\":\"SPDXRef-DOCUMENT\",\"relationshipType\":\"DESCRIBES\",\"relatedSpdxElement\":" quoted(root) "}"
    for (i = 1; i <= count; i++) if (ids[i] != root)
      print "  ,{\"spdxElementId\":" quoted(root) ",\"relationshipType\":\"DEPENDS_ON\",\"relatedSpdxElement\":" quoted(ids[i]) "}"
    print " ]}"
  }'
