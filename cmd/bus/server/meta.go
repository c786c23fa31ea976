package server

import (
	"errors"
	"net/http"
	"strings"

	"kosk/cmd/bus/registry"
)

// The metaservices. PR-META, 3 (listClients as JSON); PR-MREST 0.8, 3 and 4,
// with the bodies of its annex B.
const (
	metaListMethods    = "listMethods"
	metaAllowedMethods = "allowedMethods"
	metaGetOpenAPI     = "getOpenAPI"
)

// identifier is an X-Road identifier as the metaservices write it.
type identifier struct {
	Type      string `json:"object_type"`
	Instance  string `json:"xroad_instance"`
	Class     string `json:"member_class"`
	Member    string `json:"member_code"`
	Subsystem string `json:"subsystem_code,omitempty"`
	Service   string `json:"service_code,omitempty"`
}

type clientList struct {
	Member []clientEntry `json:"member"`
}

type clientEntry struct {
	ID   identifier `json:"id"`
	Name string     `json:"name"`
}

type methodList struct {
	Service []methodEntry `json:"service"`
}

type methodEntry struct {
	identifier
	ServiceType string              `json:"service_type"`
	Endpoints   []registry.Endpoint `json:"endpoint_list"`
}

// directory is as it stands, or as it last stood when its file was damaged since.
func (s *Server) directory() (*registry.Directory, error) {
	d, err := s.Registry.Directory()
	if d != nil && err != nil {
		s.Log.Error("directory not taken", "err", err)
		return d, nil
	}
	return d, err
}

// listClients lists members and subsystems, the stations among them, to any
// enrolled station. PR-META, 3.1.
func (s *Server) listClients(w *recorder, r *http.Request) {
	m := &message{recorder: w, req: r, service: "listClients"}
	w.Header().Set("X-Road-Request-Id", uuid())
	s.logMessage(m, func() {
		if !s.certified(m) {
			return
		}
		if instance := r.URL.Query().Get("xRoadInstance"); instance != "" && instance != s.Provider.Instance {
			s.xroadError(m, http.StatusInternalServerError, errBadRequest, "no such instance")
			return
		}
		d, err := s.directory()
		stations, errStations := s.Registry.Stations()
		if err := errors.Join(err, errStations); err != nil {
			s.Log.Error("registry failed", "err", err)
			s.xroadError(m, http.StatusInternalServerError, errInternal, "directory")
			return
		}
		writeJSON(m, http.StatusOK, s.clients(d, stations))
	})
}

func (s *Server) clients(d *registry.Directory, stations []registry.Station) clientList {
	list := clientList{Member: []clientEntry{}}
	for _, m := range d.Members {
		id := identifier{Type: "MEMBER", Instance: s.Provider.Instance, Class: m.Class, Member: m.Code}
		list.Member = append(list.Member, clientEntry{id, m.Name})
		id.Type = "SUBSYSTEM"
		for _, sub := range m.Subsystems {
			id.Subsystem = sub
			list.Member = append(list.Member, clientEntry{id, m.Name})
		}
		if m.Class != s.Provider.Class || m.Code != s.Provider.Member {
			continue
		}
		for _, st := range stations {
			if st.Removed.IsZero() {
				id.Subsystem = st.Name
				list.Member = append(list.Member, clientEntry{id, m.Name})
			}
		}
	}
	return list
}

// isMeta says whether a service code is a metaservice's.
func isMeta(code string) bool {
	return code == metaListMethods || code == metaAllowedMethods || code == metaGetOpenAPI
}

// meta answers the metaservices of a subsystem. Everybody who may talk may ask.
func (s *Server) meta(m *message) {
	m.call = m.code
	if m.req.Method != http.MethodGet || m.path != "" {
		s.xroadError(m, http.StatusInternalServerError, errUnknownSvc, "metaservices are asked with GET and have no path")
		return
	}
	if m.code == metaGetOpenAPI {
		s.getOpenAPI(m)
		return
	}
	list := methodList{Service: []methodEntry{}}
	for _, svc := range m.directory.Services {
		if svc.Provider != m.provider {
			continue
		}
		endpoints := svc.Endpoints
		if m.code == metaAllowedMethods {
			if endpoints = m.directory.Allowed(m.client, svc); svc.Disabled != "" || len(endpoints) == 0 {
				continue
			}
		}
		p := strings.Split(svc.Provider, "/")
		list.Service = append(list.Service, methodEntry{
			identifier: identifier{
				Type: "SERVICE", Instance: s.Provider.Instance, Class: p[0], Member: p[1], Subsystem: p[2], Service: svc.Code,
			},
			ServiceType: svc.Type, Endpoints: endpoints,
		})
	}
	writeJSON(m, http.StatusOK, list)
}

// getOpenAPI returns the description of a service. PR-MREST, 4.
func (s *Server) getOpenAPI(m *message) {
	code := m.req.URL.Query().Get("serviceCode")
	svc := m.directory.Find(m.provider + "/" + code)
	switch {
	case code == "":
		s.xroadError(m, http.StatusBadRequest, errBadRequest, "serviceCode is missing")
	case svc == nil:
		s.xroadError(m, http.StatusInternalServerError, errUnknownSvc, "no such service")
	case svc.Type != "OPENAPI" || m.provider != s.ownProvider():
		s.xroadError(m, http.StatusInternalServerError, errBadRequest, "service has no description")
	default:
		m.Header().Set("Content-Type", "application/json; charset=utf-8")
		m.WriteHeader(http.StatusOK)
		_, _ = m.Write(openAPI) // into memory
	}
}

// ownProvider is the subsystem of the intake, without the instance.
func (s *Server) ownProvider() string {
	return s.Provider.Class + "/" + s.Provider.Member + "/" + s.Provider.Subsystem
}
