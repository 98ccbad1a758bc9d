"""Pictures and a report of GEM's results: python3 -m gem_analysis report results/ -o report.html"""
