package script

import "testing"

func BenchmarkOpenAndMain(b *testing.B) {
	files := map[string]string{"deploy.star": "def main(environment):\n    lease(environment)\n"}
	o := open(b, files, "deploy.star")
	for b.Loop() {
		s, err := Open(b.Context(), o.project, "deploy.star", o.options)
		if err != nil {
			b.Fatal(err)
		}
		call, err := s.Parse([]string{"production"}, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Main(b.Context(), &fakeRun{world: o.world}, call); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpCall(b *testing.B) {
	o := open(b, map[string]string{"deploy.star": "def main(n = 1):\n    for i in range(n):\n        releases.find(\"/opt\", id = \"7\")\n"}, "deploy.star")
	call, err := o.Parse([]string{"--n=1000"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := o.Main(b.Context(), &fakeRun{world: o.world}, call); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/call")
}
