%% @doc Accepts connections and gives each to a process of its own.
-module(erlmcp_acceptor).

-export([start_link/1, loop/1]).

start_link(Listen) ->
    {ok, proc_lib:spawn_link(?MODULE, loop, [Listen])}.

loop(Listen) ->
    case gen_tcp:accept(Listen) of
        {ok, Socket} ->
            serve(Socket),
            loop(Listen);
        {error, closed} -> % the node stops, or the listener is about to begin anew
            receive after infinity -> ok end;
        {error, Reason} when Reason =:= emfile; Reason =:= enfile; Reason =:= system_limit ->
            timer:sleep(100),
            loop(Listen);
        {error, _} ->
            loop(Listen)
    end.

serve(Socket) ->
    {ok, Pid} = supervisor:start_child({via, erlmcp_registry, connections}, []),
    case gen_tcp:controlling_process(Socket, Pid) of
        ok -> Pid ! {serve, Socket};
        {error, _} -> exit(Pid, kill)
    end.
